"""Clients of a server that misbehaves, and their requests to it."""

import base64
import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from earmark.model.served.client import KEY_VARIABLES, EndpointClient
from earmark.model.served.endpoint import find_endpoint
from earmark.model.served.replies import Reply
from earmark.model.served.wav import wav_of
from tests.support.audio.clips import make_samples
from tests.support.servers.misbehaving_server import Answer, Server, in_turn, misbehaving_server

WAV = wav_of(make_samples(0.5, 0))
DESCRIPTION = "8000 samples, peak "
E = TypeVar("E", bound=Exception)


@contextlib.contextmanager
def server_without_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs, and no key for it in the environment."""
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with misbehaving_server() as server:
        yield server


def client_of(server: Server, requests: int = 8, timeout_s: float = 5.0, **options: Any) -> EndpointClient:
    return EndpointClient(find_endpoint(server.transcriptions), requests, timeout_s, **options)


def send_chat(server: Server, **options: Any) -> Reply:
    client = EndpointClient(find_endpoint(server.chat), 8, 5.0)
    return client.chat([question("What?")], 17, **options)


def question(text: str) -> dict[str, Any]:
    audio = {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}
    return {"role": "user", "content": [audio, {"type": "text", "text": text}]}


def checked(server: Server, **options: Any) -> None:
    client = client_of(server, **options)
    client.check(lambda: client.transcribe(WAV))


def refusal(server: Server, kind: type[E], answer: Answer | None = None, **options: Any) -> E:
    """Return the error that a client raises at the answer, which the server gives to all requests but /models."""
    if answer:
        server.behave = in_turn(answer)
    with pytest.raises(kind) as raised:
        client_of(server, **options).transcribe(WAV)
    return raised.value
