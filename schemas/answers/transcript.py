"""Transcripts: the speech as text, in its own language or translated."""

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

# Written without spaces between words (whisper/tokenizer.py, split_to_word_tokens).
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


@dataclass(frozen=True, slots=True)
class Transcript(Answer):
    """The answer of transcribe and translate: `language` is the text's; `avg_logprob` is the mean log-probability of a
    token, None without tokens."""

    text: str
    language: str | None
    avg_logprob: float | None
    segments: tuple[TextSegment, ...] = ()
    flags: tuple[str, ...] = ()

    def as_text(self) -> str:
        return self.text

    def confidence(self) -> float | None:
        return mean_probability(self.avg_logprob)


class TranscriptKind(AnswerKind):
    name = "transcript"
    record = Transcript
    needs_speech = True
    text_field = "text"
    measures = ("transcript", "translation")
    short_fields = ("text", "language", "avg_logprob", "flags")

    def describe(self, task: TaskFields) -> str:
        return f"a translation into {task.target_language}" if task.target_language else "a transcript"

    def hub_category(self, task: TaskFields) -> str:
        return "translation" if task.target_language else "automatic-speech-recognition"

    def arrow_type(self, task: TaskFields) -> "pa.DataType":
        return text_struct("language")

    def read(self, value: Mapping[str, Any]) -> Transcript:
        return Transcript(**read_lists(value))

    def join(self, parts: Sequence[AnswerPart], task: TaskFields, prompt: str) -> Transcript:
        spoken = spoken_parts(parts)
        return join_transcript(spoken, next((part.language for part in spoken if part.language), None))

    def measure(self, target_language: str) -> str:
        transcript, translation = self.measures
        return translation if target_language else transcript


def join_transcript(parts: Sequence[SpokenPart], language: str | None) -> Transcript:
    """The parts in order, as one transcript in `language`."""
    segments = join_segments(parts)
    flags = {flag for part in parts for flag in part.flags} - {"no_speech"}
    if not segments:
        flags.add("no_speech")
    space = "" if language in UNSPACED_LANGUAGES else " "
    return Transcript(join_texts(parts, space), language, mean_logprob(parts), segments, tuple(sorted(flags)))
