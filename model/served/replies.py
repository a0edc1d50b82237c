"""Responses of served models in OpenAI's protocol: those fields of it that are read."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from earmark.model.served.server_text import shortened
from earmark.schemas.errors import MachineError, RowError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that was possible, in UTF-8 (a character may be cut), and its log-probability."""

    text: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a reply, and the likeliest tokens at its position, which may include it."""

    chosen: Candidate
    likeliest: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of a chat model.

    Attributes:
        tokens: Tokens with log-probabilities; None where the server returns none.
        finish_reason: "stop", or "length" where the text was cut.
    """

    text: str
    tokens: tuple[Token, ...] | None
    finish_reason: str | None


class _Candidate(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def candidate(self) -> Candidate:
        return Candidate(self.token.encode() if self.bytes is None else bytes(self.bytes), self.logprob)


class _Token(_Candidate):
    top_logprobs: list[_Candidate] | None = None


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice]


class _Transcription(BaseModel):
    text: str


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


M = TypeVar("M", bound=BaseModel)


def read_reply(body: bytes, server: str) -> Reply:
    """The one choice of a chat completion.

    Args:
        server: Name of the server in messages.

    Raises:
        RowError: It has none or several choices, is a refusal, or is not a completion.
        MachineError: It is not JSON, so it comes from something other than a model server.
    """
    choices = _read(_Completion, body, server).choices
    if len(choices) != 1:
        raise RowError("choices", f"{server} returned {len(choices)} choices instead of one; see the server's settings")
    (choice,) = choices
    if choice.message.refusal or choice.finish_reason == "content_filter":
        why = shortened(choice.message.refusal or "its content filter stopped the answer")
        raise RowError("refused", f"{server} does not answer: {why}")
    returned = (choice.logprobs.content if choice.logprobs else None) or ()
    tokens = tuple(
        Token(token.candidate(), tuple(likely.candidate() for likely in token.top_logprobs or ())) for token in returned
    )
    return Reply(choice.message.content or "", tokens or None, choice.finish_reason)


def read_transcription(body: bytes, server: str) -> str:
    """The text of a transcription; raises as read_reply does."""
    return _read(_Transcription, body, server).text


def read_models(body: bytes, server: str) -> tuple[str, ...]:
    """Names of the models that a server lists; raises as read_reply does."""
    return tuple(model.id for model in _read(_Models, body, server).data)


def _read(kind: type[M], body: bytes, server: str) -> M:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        text = shortened(body.decode(errors="replace")) or "nothing"
        if error.errors()[0]["type"] == "json_invalid":
            raise MachineError(f"{server} did not respond in JSON: {text}") from None  # pydantic shows the whole body
        raise RowError("answer", f"{server} sent an unexpected response: {text}") from None
