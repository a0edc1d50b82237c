"""Rows of an output as a report shows them: everything that is known of a recording, ready for its page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earmark.reporting.part_tables import part_tables
from earmark.reporting.report.choose_rows import ChosenRow
from earmark.scoring.answers import FACTS, AnsweredTask
from earmark.scoring.normalizers import normalizer_for
from earmark.scoring.word_errors import edits_of
from earmark.transforms.output.store import OutputStore

MAX_CHARACTERS = 20_000  # of one text on the page


@dataclass(frozen=True, slots=True)
class ShownSegment:
    """A piece of a recording; times in seconds from the start of the recording, not of the file."""

    start_s: float
    end_s: float
    text: str
    confidence: float | None


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer; `text` is the label of a closed set, `scores` the likelihood of all its labels."""

    task: str
    text: str
    language: str
    prompt: str
    confidence: float | None
    flags: tuple[str, ...]
    segments: tuple[ShownSegment, ...]
    scores: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A recording.

    Attributes:
        reason: why it is among the rows that are shown.
        facts: of the audio, by name.
        wer: word errors a word of its reference; None where it has none or its transcript is not compared with it.
    """

    id: str
    uri: str
    offset_s: float
    channel: int | None
    duration_s: float
    reason: str
    confidence: float | None
    flags: int
    facts: Mapping[str, Any]
    reference: str | None
    extra: tuple[tuple[str, str], ...]
    answers: tuple[ShownAnswer, ...]
    wer: float | None = None


def read_rows(
    store: OutputStore,
    paths: Sequence[str],
    tasks: Sequence[AnsweredTask],
    chosen: Sequence[ChosenRow],
    compared: AnsweredTask | None,
    language: str,
) -> list[ShownRow]:
    """The chosen rows, in their order.

    Args:
        paths: of the parts, in the order in which they were chosen from.
        compared: the transcript that the references are of.
        language: of the references; "" where the answers tell it.
    """
    by_part: dict[int, list[ChosenRow]] = {}
    for one in chosen:
        by_part.setdefault(one.part, []).append(one)
    columns = FACTS + [task.name for task in tasks]
    found: dict[ChosenRow, ShownRow] = {}
    tables = part_tables(store, [paths[part] for part in by_part], columns)
    for rows, (table, _) in zip(by_part.values(), tables, strict=True):
        values = table.take([one.row for one in rows]).to_pylist()
        for one, row in zip(rows, values, strict=True):
            found[one] = _shown(row, one, tasks, compared, language)
    return [found[one] for one in chosen]


def _shown(
    row: Mapping[str, Any], chosen: ChosenRow, tasks: Sequence[AnsweredTask], compared: AnsweredTask | None, spoken: str
) -> ShownRow:
    answers = tuple(_answer(task.name, row[task.name] or {}, row["offset_s"]) for task in tasks)
    wer = None
    if compared and row["reference"] is not None:
        (answer,) = (answer for answer in answers if answer.task == compared.name)
        by = normalizer_for(spoken or answer.language)
        (edits,) = edits_of([by.words(row["reference"])], [by.words(answer.text)])
        wer = edits.errors / max(1, edits.reference_length)
    return ShownRow(
        row["id"],
        row["uri"],
        row["offset_s"],
        row["channel"],
        row["audio"]["duration_s"],
        chosen.reason,
        None if math.isnan(chosen.confidence) else round(chosen.confidence, 4),
        chosen.flags,
        {name: _rounded(value) for name, value in row["audio"].items()},
        _cut(row["reference"]),
        tuple((name, _cut(value) or "") for name, value in row["extra"] or ()),
        answers,
        _rounded(wer),
    )


def _answer(task: str, found: Mapping[str, Any], offset_s: float) -> ShownAnswer:
    score, logprob = found.get("score"), found.get("avg_logprob")
    confidence = score if score is not None else _likelihood(logprob)
    return ShownAnswer(
        task,
        _cut(found.get("text", found.get("label"))) or "",
        found.get("language") or "",
        _cut(found.get("prompt")) or "",
        _rounded(confidence),
        tuple(found.get("flags") or ()),
        tuple(_segment(segment, offset_s) for segment in found.get("segments") or ()),
        tuple((one["label"], _rounded(one["score"])) for one in found.get("scores") or ()),
    )


def _segment(found: Mapping[str, Any], offset_s: float) -> ShownSegment:
    """Times of the output are those of the file at the uri; see README, "What comes out"."""
    start_s, end_s = (round(found[name] - offset_s, 3) for name in ("start_s", "end_s"))
    return ShownSegment(start_s, end_s, _cut(found["text"]) or "", _rounded(_likelihood(found["avg_logprob"])))


def _likelihood(logprob: float | None) -> float | None:
    return None if logprob is None else math.exp(logprob)


def _rounded(value: Any) -> Any:
    """A float to four digits behind the point, which is what a page can show; JSON has no NaN."""
    if not isinstance(value, float):
        return value
    return round(value, 4) if math.isfinite(value) else None


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} … ({len(text) - MAX_CHARACTERS:,} more characters)"
