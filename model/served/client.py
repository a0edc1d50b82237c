"""Client of a served model, whose errors become those of a recording, of the server (a machine), or of the job.

OpenAI's client retries transient errors (408, 409, 429, 5xx, a lost connection, a time-out) after waits that grow from
0.5 s to 8 s and differ between workers, or after the server's Retry-After. It counts a time-out from the last byte, so
a server that sends a byte now and then would hold it for ever; here the time-out is for the whole request. The key
comes from the environment and goes to the server, nowhere else: the server's messages are shown without it, and the
client's exceptions, which hold the request, are never passed on.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx2
import openai

from earmark.model.served.endpoint import Endpoint
from earmark.model.served.replies import Reply, read_models, read_reply, read_transcription
from earmark.model.served.server_text import shortened
from earmark.schemas.errors import JobError, MachineError, RowError

log = logging.getLogger("earmark")
KEY_VARIABLES = ("EARMARK_API_KEY", "OPENAI_API_KEY")  # the first that is set
NO_KEY = "none"  # for servers that require no key: the client requires one
RETRIES = 6  # waits of 0.5, 1, 2, 4, 8 and 8 s: about as long as a server takes to restart its model
CHECK_RETRIES = 1
CHECK_TIMEOUT_S = 10.0
TEMPERATURE = 0  # greedy, as in all engines of earmark
T = TypeVar("T")
R = TypeVar("R")


class EndpointClient:
    """Client of one served model; safe to call from several threads.

    Args:
        requests: Most requests of `send_all` in flight, over all threads that call it.
        timeout_s: Seconds for a whole response, after which a request is sent again.
        retries: Number of times that a request is sent again.

    Raises:
        JobError: The key in the environment is not a valid key.
    """

    def __init__(self, endpoint: Endpoint, requests: int, timeout_s: float, retries: int = RETRIES):
        self._endpoint = endpoint
        self._variable, self._key = find_key()
        self._server = f"the server of {endpoint.model}"
        self._timeout_s = timeout_s
        self._client = openai.AsyncOpenAI(
            api_key=self._key or NO_KEY,
            base_url=endpoint.base_url,
            timeout=timeout_s,
            max_retries=retries,
            http_client=_BoundedClient(),
        )
        self._threads = ThreadPoolExecutor(requests, "endpoint")
        self._loop = asyncio.new_event_loop()  # of the requests, so that each can be cancelled
        threading.Thread(target=self._loop.run_forever, name="endpoint requests", daemon=True).start()
        self._has_logprobs = True

    def send_all(self, send: Callable[[T], R], requests: Sequence[T]) -> list[R]:
        """`send` of each request, several at once; results in order. An exception of one cancels the others."""
        return list(self._threads.map(send, requests))

    def chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, top_logprobs: int = 0) -> Reply:
        """The reply to messages in the form of OpenAI's protocol.

        Args:
            top_logprobs: Number of the likeliest tokens to return at each position; 0 for none. Once a server has
                refused them, requests are sent without.

        Raises:
            RowError: The server does not answer this request, but others.
            MachineError: It is busy or down.
            JobError: It does not accept the key, or has no such path or model.
        """
        if top_logprobs and self._has_logprobs:
            try:
                return self._chat(messages, max_tokens, logprobs=True, top_logprobs=top_logprobs)
            except RowError as error:
                if error.error != "refused" or "logprob" not in error.message.lower():
                    raise
                log.info("labels have no scores: %s", error.message)
                self._has_logprobs = False
        return self._chat(messages, max_tokens)

    def _chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, **options: Any) -> Reply:
        create: Callable[..., Any] = self._client.chat.completions.with_raw_response.create
        body = self._send(
            lambda: create(
                model=self._endpoint.model,
                messages=messages,
                max_tokens=max_tokens,
                temperature=TEMPERATURE,
                **options,
            )
        )
        return read_reply(body, self._server)

    def transcribe(self, wav: bytes, language: str | None = None) -> str:
        """Transcript of a WAV file in its own language, whose code is `language`; raises as `chat` does."""
        create: Callable[..., Any] = self._client.audio.transcriptions.with_raw_response.create
        return self._send_audio(create, wav, {"language": language} if language else {})

    def translate(self, wav: bytes) -> str:
        """Translation of the speech in a WAV file into English; raises as `chat` does."""
        return self._send_audio(self._client.audio.translations.with_raw_response.create, wav, {})

    def _send_audio(self, create: Callable[..., Any], wav: bytes, fields: Mapping[str, str]) -> str:
        file = ("audio.wav", wav, "audio/wav")
        body = self._send(
            lambda: create(
                model=self._endpoint.model, file=file, response_format="json", temperature=TEMPERATURE, **fields
            )
        )
        return read_transcription(body, self._server)

    def check(self, try_out: Callable[[], object]) -> None:
        """Requests the list of models, where the server has one, so that a job that cannot work is not started.

        Args:
            try_out: Sends a request to the model; called where the list does not name it, because some servers fetch
                models on request.

        Raises:
            JobError: The server cannot be reached, does not accept the key, or has no such model.
        """
        client = self._client.with_options(max_retries=CHECK_RETRIES, timeout=min(self._timeout_s, CHECK_TIMEOUT_S))
        endpoint = self._endpoint
        try:
            response = self._wait(lambda: client.models.with_raw_response.list())
            models = read_models(self._body(response), f"{endpoint.base_url}/models")
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return  # it has no list
            raise JobError(f"model {endpoint.name}: {self._status_error(error).args[-1]}") from None
        except openai.APIConnectionError as error:
            raise JobError(
                f"model {endpoint.name} cannot be reached: {self._cause(error)}; is the server up?"
            ) from None
        except (RowError, MachineError) as error:
            raise JobError(f"model {endpoint.name} is not on a model server: {error.args[-1]}") from error
        if {endpoint.model, f"models/{endpoint.model}"} & set(models):  # the latter is Gemini's form
            return
        try:
            try_out()
        except (RowError, MachineError, JobError) as error:
            listed = shortened(", ".join(models)) or "nothing"
            raise JobError(
                f"model {endpoint.name}: the server lists {listed}, and not {endpoint.model}: {error.args[-1]}"
            ) from error

    def _wait(self, send: Callable[[], Awaitable[Any]]) -> Any:
        """The client's result, or its exception."""

        async def send_request() -> Any:
            return await send()

        return asyncio.run_coroutine_threadsafe(send_request(), self._loop).result()

    def _send(self, send: Callable[[], Awaitable[Any]]) -> bytes:
        """The body of a response with a good status."""
        problem: Exception  # raised outside the handlers, so that the client's exception is not its context
        try:
            return self._body(self._wait(send))
        except openai.APIStatusError as error:
            problem = self._status_error(error)
        except openai.APITimeoutError:
            message = f"{self._server} did not respond within {self._timeout_s:g} s, despite retries"
            problem = RowError("timeout", message) if self._is_up() else MachineError(message)
        except openai.APIConnectionError as error:
            problem = MachineError(f"{self._server} cannot be reached: {self._cause(error)}")
        raise problem

    def _body(self, response: Any) -> bytes:
        """The content, without the key should the server repeat it."""
        content = bytes(response.content)
        return content.replace(self._key.encode(), b"[key]") if self._key else content

    def _status_error(self, error: openai.APIStatusError) -> JobError | MachineError | RowError:
        """The error that a response with a bad status means."""
        status = error.status_code
        reason = f"{status}: {shortened(_message(error), self._key)}"
        if status in (401, 402, 403) and self._key:
            return JobError(f"{self._server} does not accept the key in {self._variable} ({reason})")
        if status in (401, 402, 403):
            return JobError(f"{self._server} requires a key ({reason}); set {KEY_VARIABLES[0]}, on every worker")
        if status in (404, 405):
            return JobError(f"{self._endpoint.name}: the server has no such path or model ({reason})")
        if status == 500 and self._is_up():
            return RowError("server", f"{self._server} fails on this request, despite retries ({reason})")
        if 400 <= status < 500 and status not in (408, 409, 429):
            return RowError("refused", f"{self._server} refuses this request ({reason})")
        return MachineError(f"{self._server} is busy or down ({reason})")

    def _is_up(self) -> bool:
        """Whether the server answers another request, so that the fault is in the one that failed."""
        client = self._client.with_options(max_retries=0, timeout=min(self._timeout_s, CHECK_TIMEOUT_S))
        try:
            self._wait(lambda: client.models.with_raw_response.list())
        except openai.APIStatusError as error:
            return error.status_code < 500 and error.status_code != 429
        except openai.APIConnectionError:
            return False
        return True

    def _cause(self, error: openai.APIConnectionError) -> str:
        """The reason of a missing response."""
        if isinstance(error, openai.APITimeoutError):
            return "it did not respond in time"
        cause: BaseException = error
        while inner := cause.__cause__ or cause.__context__:  # each library wraps the error of the one below it
            cause = inner
        return shortened(f"{cause}", self._key) or type(cause).__name__


class _BoundedClient(openai.DefaultAsyncHttpxClient):
    """A client whose time-out bounds the whole request, and not only each wait for a part of it."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("the response took too long as a whole", request=request) from error


def find_key() -> tuple[str, str]:
    """The first variable of KEY_VARIABLES that is set, and the key in it; both are "" where none is set.

    Raises:
        JobError: It holds characters that a key cannot have.
    """
    variable = next((name for name in KEY_VARIABLES if os.environ.get(name)), "")
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):  # the client's error would show it
        raise JobError(f"{variable} holds characters that no key has; set it again")
    return variable, key


def _message(error: openai.APIStatusError) -> str:
    """The message of an error response, where it has the protocol's form, else its whole text."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else body
    return str(message or error.response.text or "no reason given")
