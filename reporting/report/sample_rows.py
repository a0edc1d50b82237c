"""Read the selected rows of an output, with everything that the page shows of a recording."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earmark.reporting.part_tables import part_tables
from earmark.reporting.report.select_rows import SelectedRow
from earmark.schemas.fixed_columns import FIXED_COLUMNS
from earmark.scoring.answers import AnsweredTask
from earmark.scoring.normalizers import normalizer_for
from earmark.scoring.word_errors import edits_of
from earmark.transforms.output.store import OutputStore

MAX_CHARACTERS = 20_000  # of a text on the page


@dataclass(frozen=True, slots=True)
class ReportSegment:
    """A segment of a recording; times in seconds from the start of the recording, not of the file."""

    start_s: float
    end_s: float
    text: str
    confidence: float | None


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """An answer.

    Attributes:
        text: Text, or label of a closed set.
        scores: Pairs of label and likelihood, of a closed set.
    """

    task: str
    text: str
    language: str
    prompt: str
    confidence: float | None
    flags: tuple[str, ...]
    segments: tuple[ReportSegment, ...]
    scores: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A recording in the table of the page.

    Attributes:
        reason: Why the row was selected.
        facts: Measurements of the audio by name.
        wer: Word errors per reference word; None without a reference, or where it is not scored.
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
    answers: tuple[ReportAnswer, ...]
    wer: float | None = None


def read_rows(
    store: OutputStore,
    paths: Sequence[str],
    tasks: Sequence[AnsweredTask],
    selected: Sequence[SelectedRow],
    scored: AnsweredTask | None,
    language: str,
) -> list[ReportRow]:
    """Read the selected rows, in order.

    Args:
        paths: Paths of the parts, as listed for the selection.
        scored: Task whose transcripts are scored against the references; None for no scores.
        language: Language of the references; "" to take the one of each transcript.
    """
    by_part: dict[int, list[SelectedRow]] = {}
    for key in selected:
        by_part.setdefault(key.part, []).append(key)
    columns = [*FIXED_COLUMNS, *(task.name for task in tasks)]
    rows: dict[SelectedRow, ReportRow] = {}
    tables = part_tables(store, [paths[part] for part in by_part], columns)
    for keys, (table, _) in zip(by_part.values(), tables, strict=True):
        records = table.take([key.row for key in keys]).to_pylist()
        for key, record in zip(keys, records, strict=True):
            rows[key] = _report_row(record, key, tasks, scored, language)
    return [rows[key] for key in selected]


def _report_row(
    row: Mapping[str, Any],
    selected: SelectedRow,
    tasks: Sequence[AnsweredTask],
    scored: AnsweredTask | None,
    language: str,
) -> ReportRow:
    answers = tuple(_answer(task, row[task.name] or {}, row["offset_s"]) for task in tasks)
    wer = None
    if scored and row["reference"] is not None:
        (answer,) = (answer for answer in answers if answer.task == scored.name)
        normalizer = normalizer_for(language or answer.language)
        (edits,) = edits_of([normalizer.words(row["reference"])], [normalizer.words(answer.text)])
        wer = edits.errors / max(1, edits.reference_length)
    return ReportRow(
        row["id"],
        row["uri"],
        row["offset_s"],
        row["channel"],
        row["audio"]["duration_s"],
        selected.reason,
        None if math.isnan(selected.confidence) else round(selected.confidence, 4),
        selected.flags,
        {name: _rounded(value) for name, value in row["audio"].items()},
        _cut(row["reference"]),
        tuple((name, _cut(value) or "") for name, value in row["extra"] or ()),
        answers,
        _rounded(wer),
    )


def _answer(task: AnsweredTask, value: Mapping[str, Any], offset_s: float) -> ReportAnswer:
    score, logprob = value.get("score"), value.get("avg_logprob")
    confidence = score if score is not None else _likelihood(logprob)
    return ReportAnswer(
        task.name,
        _cut(value.get(task.answer_kind.text_field)) or "",
        value.get("language") or "",
        _cut(value.get("prompt")) or "",
        _rounded(confidence),
        tuple(value.get("flags") or ()),
        tuple(_segment(segment, offset_s) for segment in value.get("segments") or ()),
        tuple((score["label"], _rounded(score["score"])) for score in value.get("scores") or ()),
    )


def _segment(segment: Mapping[str, Any], offset_s: float) -> ReportSegment:
    """Times in the output count from the start of the file, as README says under "What comes out"."""
    start_s, end_s = (round(segment[name] - offset_s, 3) for name in ("start_s", "end_s"))
    return ReportSegment(start_s, end_s, _cut(segment["text"]) or "", _rounded(_likelihood(segment["avg_logprob"])))


def _likelihood(logprob: float | None) -> float | None:
    return None if logprob is None else math.exp(logprob)


def _rounded(value: Any) -> Any:
    """A float rounded to four decimals; None for NaN and infinity, which JSON does not have."""
    if not isinstance(value, float):
        return value
    return round(value, 4) if math.isfinite(value) else None


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} … ({len(text) - MAX_CHARACTERS:,} more characters)"
