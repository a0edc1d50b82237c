"""Answers in free text, to a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earmark.schemas.answers.kind import Answer, AnswerKind, AnswerPart, TaskFields
from earmark.schemas.answers.spoken import (
    SpokenPart,
    TextSegment,
    join_segments,
    join_texts,
    mean_logprob,
    mean_probability,
    read_lists,
    spoken_parts,
    text_struct,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TextAnswer(Answer):
    """The answer of caption, analyze and chat: `prompt` is the text that the model was prompted with, `segments` has
    the text of each segment with its times."""

    text: str
    prompt: str
    avg_logprob: float | None
    segments: tuple[TextSegment, ...] = ()
    flags: tuple[str, ...] = ()

    def as_text(self) -> str:
        return self.text

    def confidence(self) -> float | None:
        return mean_probability(self.avg_logprob)


class TextKind(AnswerKind):
    name = "text"
    record = TextAnswer
    text_field = "text"
    measures = ("text",)
    short_fields = ("text", "avg_logprob", "flags")

    def describe(self, task: TaskFields) -> str:
        return "text"

    def hub_category(self, task: TaskFields) -> str:
        return "audio-text-to-text"

    def arrow_type(self, task: TaskFields) -> "pa.DataType":
        return text_struct("prompt")

    def read(self, value: Mapping[str, Any]) -> TextAnswer:
        return TextAnswer(**read_lists(value))

    def join(self, parts: Sequence[AnswerPart], task: TaskFields, prompt: str) -> TextAnswer:
        return join_text(spoken_parts(parts), prompt)


def join_text(parts: Sequence[SpokenPart], prompt: str) -> TextAnswer:
    """The parts in order, as one answer to `prompt`."""
    flags = {flag for part in parts for flag in part.flags}
    return TextAnswer(join_texts(parts, " "), prompt, mean_logprob(parts), join_segments(parts), tuple(sorted(flags)))
