"""Text with times: what transcripts and answers in text share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earmark.schemas.answers.kind import AnswerPart

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TextSegment:
    """The text of an answer between two times in the file, in seconds."""

    start_s: float
    end_s: float
    text: str
    avg_logprob: float | None


@dataclass(frozen=True, slots=True)
class SpokenPart(AnswerPart):
    """The text that a model generated for one segment.

    Attributes:
        segments: The text in pieces with their times; empty where there is no text.
        logprob_sum: Log-probability of all tokens together, the end token among them.
        tokens: Number of tokens in `logprob_sum`.
        language: Language of the text, where the model reports it.
        text: The text where it is not that of `segments` with spaces between them, as when these are characters.
    """

    segments: tuple[TextSegment, ...]
    logprob_sum: float
    tokens: int
    flags: frozenset[str]
    language: str | None = None
    text: str | None = None


def spoken_parts(parts: Sequence[AnswerPart]) -> list[SpokenPart]:
    return [part for part in parts if isinstance(part, SpokenPart)]


def join_texts(parts: Sequence[SpokenPart], space: str) -> str:
    texts = [
        space.join(segment.text for segment in part.segments) if part.text is None else part.text for part in parts
    ]
    return space.join(text for text, part in zip(texts, parts, strict=True) if part.segments)


def join_segments(parts: Sequence[SpokenPart]) -> tuple[TextSegment, ...]:
    return tuple(segment for part in parts for segment in part.segments)


def mean_logprob(parts: Sequence[SpokenPart]) -> float | None:
    """Mean log-probability of a token; None without tokens."""
    tokens = sum(part.tokens for part in parts)
    return sum(part.logprob_sum for part in parts) / tokens if tokens else None


def mean_probability(avg_logprob: float | None) -> float | None:
    """The mean probability of a token (geometric), from 0 to 1."""
    return None if avg_logprob is None else math.exp(avg_logprob)


def text_struct(second_field: str) -> "pa.DataType":
    """Arrow type of a column of text with times; `second_field` is another text field, after `text`."""
    import pyarrow as pa

    segment = pa.struct(
        [("start_s", pa.float64()), ("end_s", pa.float64()), ("text", pa.string()), ("avg_logprob", pa.float32())]
    )
    return pa.struct(
        [
            ("text", pa.string()),
            (second_field, pa.string()),
            ("avg_logprob", pa.float32()),
            ("segments", pa.list_(segment)),
            ("flags", pa.list_(pa.string())),
        ]
    )


def read_lists(value: Mapping[str, Any]) -> dict[str, Any]:
    """A value of such a column with the types that the records have."""
    segments = tuple(TextSegment(**segment) for segment in value["segments"] or ())
    return {**value, "segments": segments, "flags": tuple(value["flags"] or ())}
