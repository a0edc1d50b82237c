"""An HTTP server on loopback with OpenAI's protocol, correct or faulty, whose answers describe the audio.

The answer to a request for chat or transcription is the length and the level of the audio.
"""

import base64
import contextlib
import email.parser
import email.policy
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO

import numpy as np
import soundfile

from tests.support.jobs import describe_samples

MODEL = "listener"
KEY = "sk-Zx81-not-for-anybody"
JSON = "application/json"
SOON = {"retry-after-ms": "1"}  # the wait that a client obeys


@dataclass(frozen=True)
class Request:
    """A request: path below /v1, API key, fields next to the audio, text prompt, and float32 samples."""

    path: str
    key: str
    fields: dict[str, Any]
    prompt: str = ""
    samples: np.ndarray | None = None

    @property
    def audio(self) -> str:
        return describe_samples(self.samples) if self.samples is not None else "nothing"


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    type: str = JSON
    stalls: bool = False  # until the client hangs up
    drip_s: float = 0.0  # from one byte to the next, those of the status line too


def completion(text: str | None, finish_reason: str = "stop", logprobs: Any = None, **message: Any) -> Answer:
    """Return the answer to a chat request."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}
    return Answer(json.dumps({"object": "chat.completion", "choices": [{**choice, "logprobs": logprobs}]}).encode())


def refused(status: int, message: str = "says the server", **headers: str) -> Answer:
    return Answer(json.dumps({"error": {"message": message, "code": status}}).encode(), status, {**SOON, **headers})


def page(status: int = 200) -> Answer:
    return Answer(b"<html><body>Sign in \x1b[31m here</body></html>", status, type="text/html")


STALL = Answer(b"", stalls=True)
CUT = Answer(b'{"text": "cut', headers={"Content-Length": "100", "Connection": "close"})


def tokens_of(*candidates: Sequence[tuple[str, float]]) -> Any:
    """Logprobs of an answer of one token for each list of candidates: the first; the others are its alternatives."""
    spelled = [
        [{"token": text, "bytes": list(text.encode()), "logprob": float(np.log(share))} for text, share in alternatives]
        for alternatives in candidates
    ]
    return {"content": [{**alternatives[0], "top_logprobs": alternatives} for alternatives in spelled]}


def correct(request: Request) -> Answer:
    """Return the answer of a server without faults."""
    if request.path == "/models":
        return Answer(json.dumps({"object": "list", "data": [{"id": MODEL}, {"id": "other"}]}).encode())
    if request.path.startswith("/audio/"):
        return Answer(json.dumps({"text": request.audio}).encode())
    return completion(request.audio)


@dataclass
class Server:
    """A server that runs; `behave` decides over each request, and may be changed at any time.

    Attributes:
        requests: All requests, in the order they came.
        most_at_once: Greatest number of requests that were open together.
        take_s: Seconds that each request takes.
    """

    behave: Callable[[Request], Answer] = correct
    take_s: float = 0.0
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    open: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def chat(self) -> str:
        return f"{self.url}/v1/chat/completions#{MODEL}"

    @property
    def transcriptions(self) -> str:
        return f"{self.url}/v1/audio/transcriptions#{MODEL}"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            if request.path != "/models":
                self.open += 1
                self.most_at_once = max(self.most_at_once, self.open)
        time.sleep(self.take_s)
        answer = self.behave(request)
        if answer.stalls:
            self.stopped.wait()
        with self.lock:
            self.open -= request.path != "/models"
        return answer


def in_turn(*answers: Answer | None) -> Callable[[Request], Answer]:
    """Give the answers in turn, then repeat the last; None is a correct one, as is each answer to /models."""
    pending = list(answers)

    def behave(request: Request) -> Answer:
        if request.path == "/models":
            return correct(request)
        return (pending.pop(0) if len(pending) > 1 else pending[0]) or correct(request)

    return behave


def _request(path: str, headers: Any, body: bytes) -> Request:
    key, path = headers.get("Authorization", "").removeprefix("Bearer "), path.removeprefix("/v1")
    if not body:
        return Request(path, key, {})
    if headers["Content-Type"].startswith("multipart/"):
        mime = b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body
        parts = list(email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(mime).iter_parts())
        named = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}
        wav = named.pop("file")
        return Request(
            path, key, {name: value.decode().strip() for name, value in named.items()}, samples=_samples(wav)
        )
    fields = json.loads(body)
    (message,) = fields.pop("messages")
    content = {part["type"]: part for part in message["content"]}
    wav = base64.b64decode(content["input_audio"]["input_audio"]["data"])
    return Request(path, key, fields, content.get("text", {}).get("text", ""), _samples(wav))


def _samples(wav: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == 16_000 and samples.ndim == 1
    return np.asarray(samples)


class _Dripping(io.BufferedIOBase):
    """Writes a byte at a time; when the server stops, no more."""

    def __init__(self, file: BinaryIO, drip_s: float, stopped: threading.Event):
        self._file, self._drip_s, self._stopped = file, drip_s, stopped

    def write(self, content: Any) -> int:
        for byte in content:
            if self._stopped.wait(self._drip_s):
                break
            self._file.write(bytes([byte]))
        return len(content)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections live on, as those of real servers
        disable_nagle_algorithm = True

        def do_POST(self) -> None:  # http.server's names
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = server.answer(_request(self.path, self.headers, body))
            if answer.drip_s:
                self.wfile = _Dripping(self.wfile, answer.drip_s, server.stopped)
            with contextlib.suppress(ConnectionError):  # of a client that has not waited
                self.send_response(answer.status)
                headers = {"Content-Type": answer.type, "Content-Length": str(len(answer.body)), **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def misbehaving_server(behave: Callable[[Request], Answer] = correct, take_s: float = 0.0) -> Iterator[Server]:
    """A server in threads of this process."""
    server = Server(behave, take_s)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        http.shutdown()
        http.server_close()
        thread.join()
