"""Asks a served model; of what goes wrong, tells what is a recording's, what the server's and what the job's.

What passes by itself (408, 409, 429, 5xx, a lost connection, a time-out) is asked again by OpenAI's client, after waits
that grow from 0.5 s to 8 s and differ between workers, or as long as the server's Retry-After says. That client counts
a time-out from the last byte, so that a server which sends one now and then would hold it for ever; here the time-out
is for the whole of a request. The key comes from the environment and goes to the server, nowhere else: what the server
says is shown without it, and what the client raises, which holds the request, is never handed on.
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
NO_KEY = "none"  # what a server that asks for no key is given: the client wants one
RETRIES = 6  # waits of 0.5, 1, 2, 4, 8 and 8 s: what a server takes to start its model again
CHECK_RETRIES = 1
CHECK_TIMEOUT_S = 10.0
TEMPERATURE = 0  # greedy, as all engines of earmark
T = TypeVar("T")
R = TypeVar("R")


class EndpointClient:
    """A served model, asked by several threads.

    Args:
        requests: most that are open at once in `each`, whoever calls it.
        timeout_s: for the whole of an answer, until a request is sent again.
        retries: how often a request is sent again.

    Raises:
        JobError: the key in the environment cannot be one.
    """

    def __init__(self, endpoint: Endpoint, requests: int, timeout_s: float, retries: int = RETRIES):
        self._endpoint = endpoint
        self._variable, self._key = find_key()
        self._of = f"the server of {endpoint.model}"
        self._timeout_s = timeout_s
        self._client = openai.AsyncOpenAI(
            api_key=self._key or NO_KEY,
            base_url=endpoint.base_url,
            timeout=timeout_s,
            max_retries=retries,
            http_client=_BoundedClient(),
        )
        self._threads = ThreadPoolExecutor(requests, "endpoint")
        self._loop = asyncio.new_event_loop()  # where requests are under way; an end of it can be put to each
        threading.Thread(target=self._loop.run_forever, name="endpoint requests", daemon=True).start()
        self._gives_logprobs = True

    def each(self, ask: Callable[[T], R], questions: Sequence[T]) -> list[R]:
        """`ask` of each question, several at once, in order; what one of them raises ends the rest."""
        return list(self._threads.map(ask, questions))

    def chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, top_logprobs: int = 0) -> Reply:
        """The answer to messages as OpenAI's protocol has them.

        Args:
            top_logprobs: how many of the likeliest tokens to tell at each place; 0 for none. A server that says that
                it gives none is asked without, from then on.

        Raises:
            RowError: the server does not answer this, and answers other questions.
            MachineError: it is busy or down.
            JobError: it does not take the key, or has no such path or model.
        """
        if top_logprobs and self._gives_logprobs:
            try:
                return self._chat(messages, max_tokens, logprobs=True, top_logprobs=top_logprobs)
            except RowError as error:
                if error.error != "refused" or "logprob" not in error.message.lower():
                    raise
                log.info("labels have no scores: %s", error.message)
                self._gives_logprobs = False
        return self._chat(messages, max_tokens)

    def _chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, **options: Any) -> Reply:
        create: Callable[..., Any] = self._client.chat.completions.with_raw_response.create
        answer = self._answer(
            lambda: create(
                model=self._endpoint.model,
                messages=messages,
                max_tokens=max_tokens,
                temperature=TEMPERATURE,
                **options,
            )
        )
        return read_reply(answer, self._of)

    def transcribe(self, wav: bytes, language: str | None = None) -> str:
        """What is said in a WAV file, in its own language, whose code is `language`; raises as `chat` does."""
        create: Callable[..., Any] = self._client.audio.transcriptions.with_raw_response.create
        known = {"language": language} if language else {}
        return self._written(create, wav, known)

    def translate(self, wav: bytes) -> str:
        """What is said in a WAV file, in English; raises as `chat` does."""
        return self._written(self._client.audio.translations.with_raw_response.create, wav, {})

    def _written(self, create: Callable[..., Any], wav: bytes, known: Mapping[str, str]) -> str:
        file = ("audio.wav", wav, "audio/wav")
        answer = self._answer(
            lambda: create(
                model=self._endpoint.model, file=file, response_format="json", temperature=TEMPERATURE, **known
            )
        )
        return read_transcription(answer, self._of)

    def check(self, try_out: Callable[[], object]) -> None:
        """Asks for the list of models, where the server has one, so that a job is not started in vain.

        Args:
            try_out: asks the model something, which is done where the list does not name it: some servers fetch what
                they are asked for.

        Raises:
            JobError: the server cannot be reached, does not take the key, or has no such model.
        """
        asked = self._client.with_options(max_retries=CHECK_RETRIES, timeout=min(self._timeout_s, CHECK_TIMEOUT_S))
        endpoint = self._endpoint
        try:
            answer = self._wait(lambda: asked.models.with_raw_response.list())
            models = read_models(self._body(answer), f"{endpoint.base_url}/models")
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return  # it keeps no list
            raise JobError(f"model {endpoint.name}: {self._refusal(error).args[-1]}") from None
        except openai.APIConnectionError as error:
            raise JobError(f"model {endpoint.name} cannot be reached: {self._lost(error)}; is the server up?") from None
        except (RowError, MachineError) as error:
            raise JobError(f"model {endpoint.name} is not at a server of models: {error.args[-1]}") from error
        if {endpoint.model, f"models/{endpoint.model}"} & set(models):  # the latter is Gemini's way
            return
        try:
            try_out()
        except (RowError, MachineError, JobError) as error:
            known = shortened(", ".join(models)) or "nothing"
            raise JobError(
                f"model {endpoint.name}: the server lists {known}, and not {endpoint.model}: {error.args[-1]}"
            ) from error

    def _wait(self, send: Callable[[], Awaitable[Any]]) -> Any:
        """What the client answers, or raises."""

        async def sent() -> Any:
            return await send()

        return asyncio.run_coroutine_threadsafe(sent(), self._loop).result()

    def _answer(self, send: Callable[[], Awaitable[Any]]) -> bytes:
        """The body of an answer with a good status."""
        found: Exception
        try:
            return self._body(self._wait(send))
        except openai.APIStatusError as error:
            found = self._refusal(error)
        except openai.APITimeoutError:
            said = f"{self._of} did not answer within {self._timeout_s:g} s, again and again"
            found = RowError("timeout", said) if self._is_up() else MachineError(said)
        except openai.APIConnectionError as error:
            found = MachineError(f"{self._of} cannot be reached: {self._lost(error)}")
        raise found

    def _body(self, answer: Any) -> bytes:
        """Without the key, should the server repeat it."""
        content = bytes(answer.content)
        return content.replace(self._key.encode(), b"[key]") if self._key else content

    def _refusal(self, error: openai.APIStatusError) -> JobError | MachineError | RowError:
        """What an answer with a bad status means."""
        status = error.status_code
        said = f"{status}: {shortened(_message(error), self._key)}"
        if status in (401, 402, 403) and self._key:
            return JobError(f"{self._of} does not let in who has the key in {self._variable} ({said})")
        if status in (401, 402, 403):
            return JobError(f"{self._of} asks for a key ({said}); set {KEY_VARIABLES[0]}, on every worker")
        if status in (404, 405):
            return JobError(f"{self._endpoint.name} is no path and model of the server ({said})")
        if status == 500 and self._is_up():
            return RowError("server", f"{self._of} fails on this, again and again ({said})")
        if 400 <= status < 500 and status not in (408, 409, 429):
            return RowError("refused", f"{self._of} refuses this ({said})")
        return MachineError(f"{self._of} is busy or down ({said})")

    def _is_up(self) -> bool:
        """Whether the server answers something else: what it fails on again and again is then this request's fault."""
        asked = self._client.with_options(max_retries=0, timeout=min(self._timeout_s, CHECK_TIMEOUT_S))
        try:
            self._wait(lambda: asked.models.with_raw_response.list())
        except openai.APIStatusError as error:
            return error.status_code < 500 and error.status_code != 429
        except openai.APIConnectionError:
            return False
        return True

    def _lost(self, error: openai.APIConnectionError) -> str:
        """Why there was no answer."""
        if isinstance(error, openai.APITimeoutError):
            return "it did not answer in time"
        found: BaseException = error
        while below := found.__cause__ or found.__context__:  # each library wraps what the one below it has said
            found = below
        return shortened(f"{found}", self._key) or type(found).__name__


class _BoundedClient(openai.DefaultAsyncHttpxClient):
    """A client whose time-out bounds the whole of a request, and not only each wait for some of it."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("the answer took too long as a whole", request=request) from error


def find_key() -> tuple[str, str]:
    """The variable of the environment that holds the key for a served model, the first that is set, and the key.

    Both are "" where none is.

    Raises:
        JobError: it cannot be a key.
    """
    variable = next((name for name in KEY_VARIABLES if os.environ.get(name)), "")
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):  # the client's complaint would show it
        raise JobError(f"{variable} holds characters that no key has; set it again")
    return variable, key


def _message(error: openai.APIStatusError) -> str:
    """What a server says beside a status: its message where it is written as the protocol has it, else all of it."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    return str(said or error.response.text or "no reason given")
