"""An HTTP proxy in front of an object store that refuses some requests, cuts answers short, or loses them."""

import asyncio
import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yarl
from aiohttp import web

from tests.support.servers.object_stores import ObjectStore

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect"}
CHUNK_BYTES = 2**12

# Of a request: "pass" it on, "cut" the answer short, "lose" it, never answer ("stall"), or refuse it with a status.
Fate = str | int


@dataclass
class FaultyProxy:
    """A running proxy; `fate` decides on each request, and may be changed at any time.

    Attributes:
        counts: Number of requests by fate; an answer without a body cannot be cut, and counts as passed.
        slow_s: Wait before each 4 KiB that are written to the store.
    """

    store: ObjectStore
    fate: Callable[[web.Request], Fate] = lambda request: "pass"
    slow_s: float = 0.0
    counts: Counter[Fate] = field(default_factory=Counter)
    endpoint: str = ""

    def variables(self) -> dict[str, str]:
        return self.store.variables(self.endpoint)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        fate = self.fate(request)
        if isinstance(fate, int):
            self.counts[fate] += 1
            await request.read()
            body = refusal(self.store.scheme, fate)
            return web.Response(status=fate, body=body, content_type=TYPES[self.store.scheme])
        if fate == "stall":
            await asyncio.Event().wait()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        if self.store.scheme == "gs":
            headers.pop("Host")  # s3:// signs it
        url = yarl.URL(f"{self.store.endpoint}{request.rel_url.raw_path_qs}", encoded=True)
        content = self._slowly(request) if request.can_read_body else None
        async with self._session.request(
            request.method, url, headers=headers, data=content, allow_redirects=False
        ) as response:
            body = await response.read()
            if fate == "lose" or (fate == "cut" and body):
                self.counts[fate] += 1
            else:
                fate = "pass"
                self.counts["pass"] += 1
            return await self._send(request, response, body, fate)

    async def _slowly(self, request: web.Request) -> AsyncIterator[bytes]:
        async for content in request.content.iter_chunked(CHUNK_BYTES):
            await asyncio.sleep(self.slow_s)
            yield content

    async def _send(
        self, request: web.Request, response: aiohttp.ClientResponse, body: bytes, fate: Fate
    ) -> web.StreamResponse:
        headers = {name: value for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP}
        answer = web.StreamResponse(status=response.status, headers={"Content-Length": str(len(body)), **headers})
        if fate == "lose":
            _hang_up(request)
            return answer
        await answer.prepare(request)
        await answer.write(body[: len(body) // 2] if fate == "cut" else body)
        if fate == "cut":
            _hang_up(request)
        else:
            await answer.write_eof()
        return answer

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        application = web.Application(client_max_size=2**32)
        application.router.add_route("*", "/{path:.*}", self.answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        stalled = asyncio.all_tasks() - {asyncio.current_task()}
        for task in stalled:
            task.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()  # what was written before still goes out


TYPES = {"s3": "application/xml", "gs": "application/json"}
CODES = {401: "InvalidToken", 403: "AccessDenied", 404: "NoSuchKey", 429: "TooManyRequests", 503: "SlowDown"}


def refusal(scheme: str, status: int) -> bytes:
    """Return the body with which the store sends a status."""
    if scheme == "s3":
        return f"<Error><Code>{CODES[status]}</Code><Message>{CODES[status]}, by the proxy</Message></Error>".encode()
    return f'{{"error": {{"code": {status}, "message": "{CODES[status]}, by the proxy"}}}}'.encode()


def busy_store() -> Callable[[web.Request], Fate]:
    """Refuse 5 % of the reads, in turn with 429 and 503, and cut 1 % short."""
    reads, refusals = itertools.count(1), itertools.cycle([429, 503])

    def fate(request: web.Request) -> Fate:
        if request.method not in ("GET", "HEAD"):
            return "pass"
        number = next(reads)
        if number % 20 == 7:
            return next(refusals)
        return "cut" if number % 100 == 50 else "pass"

    return fate


@contextlib.contextmanager
def faulty_proxy(store: ObjectStore, **options: Any) -> Iterator[FaultyProxy]:
    """A proxy in a thread of its own."""
    proxy, loop = FaultyProxy(store, **options), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(30)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
