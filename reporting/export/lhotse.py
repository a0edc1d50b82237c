"""Annotations as lhotse's manifests: recordings and supervisions, one of each a row, in one order.

Written without lhotse, as it reads them. Source: lhotse 1.33, lhotse/audio/recording.py and lhotse/supervision.py.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from earmark.reporting.export.rows import Counts, Row, extra_of, finite, flat_answers, language_of, text_task
from earmark.schemas.job_description import AskedTask


@dataclass(frozen=True, slots=True)
class LhotseLines:
    """A line of each manifest."""

    recording: str
    supervision: str


def lhotse_lines(
    tables: Iterable[pa.Table], tasks: Sequence[AskedTask], job_language: str, counts: Counts
) -> Iterator[LhotseLines]:
    spoken = text_task(tasks)
    for table in tables:
        for row in table.to_pylist():
            counts.written(row)
            supervision = _supervision(row, tasks, spoken, job_language)
            yield LhotseLines(_line(_recording(row)), _line(supervision))


def _line(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n"


def _recording(row: Row) -> dict[str, Any]:
    """The file as far as it is known: up to the end of what was heard of it."""
    audio = row["audio"]
    samples = round((row["offset_s"] + audio["duration_s"]) * audio["sample_rate"])
    channels = list(range(audio["channels"]))
    kind = "url" if "://" in row["uri"] else "file"
    return {
        "id": row["id"],
        "sources": [{"type": kind, "channels": channels, "source": row["uri"]}],
        "sampling_rate": audio["sample_rate"],
        "num_samples": samples,
        "duration": samples / audio["sample_rate"],
        "channel_ids": channels,
    }


def _supervision(row: Row, tasks: Sequence[AskedTask], spoken: AskedTask | None, job_language: str) -> dict[str, Any]:
    audio = row["audio"]
    channels = list(range(audio["channels"]))
    mixed = channels if len(channels) > 1 else 0
    # In whole samples, so that it ends where the recording does.
    start = round(row["offset_s"] * audio["sample_rate"])
    end = round((row["offset_s"] + audio["duration_s"]) * audio["sample_rate"])
    answers = {name: value for name, value in flat_answers(row, tasks).items() if not (spoken and name == spoken.name)}
    custom = {"reference": row["reference"], "manifest": extra_of(row) or None, **answers}
    found = {
        "id": row["id"],
        "recording_id": row["id"],
        "start": start / audio["sample_rate"],
        "duration": (end - start) / audio["sample_rate"],
        "channel": mixed if row["channel"] is None else row["channel"],
        "custom": {name: value for name, value in custom.items() if value is not None},
    }
    if spoken:
        answer = row[spoken.name] or {}
        language = language_of(row, spoken, job_language)
        found |= {"text": answer.get("text") or ""} | ({"language": language} if language else {})
        found["custom"]["segments"] = finite(answer.get("segments") or [])
    return found
