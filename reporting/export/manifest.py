"""Annotations as a manifest of NeMo's: JSONL with `audio_filepath`, `offset`, `duration`, `text`, `lang`.

Source: NVIDIA NeMo, docs/source/asr/datasets.rst. earmark reads it again: the texts are then references.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from earmark.reporting.export.rows import Counts, Row, extra_of, finite, flat_answers, language_of, text_task
from earmark.schemas.job_description import AskedTask


def nemo_lines(
    tables: Iterable[pa.Table], tasks: Sequence[AskedTask], job_language: str, counts: Counts
) -> Iterator[str]:
    """A line of JSON for each row."""
    spoken = text_task(tasks)
    for table in tables:
        for row in table.to_pylist():
            counts.written(row)
            yield json.dumps(_entry(row, tasks, spoken, job_language), ensure_ascii=False, allow_nan=False) + "\n"


def _entry(row: Row, tasks: Sequence[AskedTask], spoken: AskedTask | None, job_language: str) -> dict[str, Any]:
    known = {
        "id": row["id"],
        "audio_filepath": row["uri"],
        "offset": row["offset_s"] or None,
        "duration": finite(row["audio"]["duration_s"]),
        "channel": row["channel"],
        "text": ((row[spoken.name] or {}).get("text") or "") if spoken else None,
        "lang": language_of(row, spoken, job_language) or None if spoken else None,
        "reference": row["reference"],
    }
    known = {name: value for name, value in known.items() if value is not None}
    answers = {name: value for name, value in flat_answers(row, tasks).items() if not (spoken and name == spoken.name)}
    # A carried column must not be taken for what earmark says, nor for the audio.
    taken = known.keys() | answers.keys()
    carried = {(f"manifest_{name}" if name in taken else name): value for name, value in extra_of(row).items()}
    return {**known, **carried, **answers, **known}  # also above a task that is called text
