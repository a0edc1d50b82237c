"""What a served model answers, as OpenAI's protocol writes it; of the protocol, no more than is read."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from earmark.model.served.server_text import shortened
from earmark.schemas.errors import MachineError, RowError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could have been written, in UTF-8 (a character may be cut), and its log-probability."""

    text: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was written, and the likeliest at its place, it among them or not."""

    written: Candidate
    likeliest: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a chat model wrote.

    Attributes:
        tokens: None where the server tells no log-probabilities.
        finish_reason: "stop", or "length" where the answer was cut.
    """

    text: str
    tokens: tuple[Token, ...] | None
    finish_reason: str | None


class _Candidate(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def read(self) -> Candidate:
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


def read_reply(answer: bytes, of: str) -> Reply:
    """The one choice of a chat completion.

    Args:
        of: whose answer it is, to a person.

    Raises:
        RowError: there is not one choice, or it is a refusal, or no completion.
        MachineError: it is not JSON: something else than the model's server answers.
    """
    choices = _read(_Completion, answer, of).choices
    if len(choices) != 1:
        raise RowError(
            "choices", f"{of} answered with {len(choices)} choices and not with one; see the server's settings"
        )
    (choice,) = choices
    if choice.message.refusal or choice.finish_reason == "content_filter":
        why = shortened(choice.message.refusal or "its filter of content stopped the answer")
        raise RowError("refused", f"{of} does not answer: {why}")
    told = choice.logprobs.content if choice.logprobs else None
    tokens = tuple(Token(one.read(), tuple(other.read() for other in one.top_logprobs or ())) for one in told or ())
    return Reply(choice.message.content or "", tokens or None, choice.finish_reason)


def read_transcription(answer: bytes, of: str) -> str:
    """The text of a transcription; raises as read_reply does."""
    return _read(_Transcription, answer, of).text


def read_models(answer: bytes, of: str) -> tuple[str, ...]:
    """Names of the models that a server lists; raises as read_reply does."""
    return tuple(model.id for model in _read(_Models, answer, of).data)


def _read(kind: type[M], answer: bytes, of: str) -> M:
    try:
        return kind.model_validate_json(answer)
    except ValidationError as error:
        found = shortened(answer.decode(errors="replace")) or "nothing"
        if error.errors()[0]["type"] == "json_invalid":
            raise MachineError(f"{of} did not answer in JSON: {found}") from None  # pydantic shows all of the answer
        raise RowError("answer", f"{of} answered something else than was asked for: {found}") from None
