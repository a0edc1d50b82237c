"""Annotations as a NeMo manifest: JSONL with `audio_filepath`, `offset`, `duration`, `text`, `lang`.

Source: NVIDIA NeMo, docs/source/asr/datasets.rst. earmark reads it as a manifest too: the texts are then references.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from earmark.reporting.export.job import ExportJob
from earmark.reporting.export.rows import Counts, Row, extra_of, finite, flat_answers, language_of, text_task
from earmark.schemas.job_description import AskedTask


def write(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> None:
    job.target.write_lines(_lines(job, tables, counts))


def _lines(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> Iterator[str]:
    task = text_task(job.tasks)
    for table in tables:
        for row in table.to_pylist():
            counts.add_written(row)
            yield json.dumps(_entry(row, job, task), ensure_ascii=False, allow_nan=False) + "\n"


def _entry(row: Row, job: ExportJob, task: AskedTask | None) -> dict[str, Any]:
    """`task`: Task whose answer is the text; None where no task answers in text."""
    fields = {
        "id": row["id"],
        "audio_filepath": row["uri"],
        "offset": row["offset_s"] or None,
        "duration": finite(row["audio"]["duration_s"]),
        "channel": row["channel"],
        "text": ((row[task.name] or {}).get("text") or "") if task else None,
        "lang": language_of(row, task, job.language) or None if task else None,
        "reference": row["reference"],
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    answers = {name: value for name, value in flat_answers(row, job.tasks).items() if not (task and name == task.name)}
    # A column of the manifest must not replace an answer, nor what names the audio.
    reserved = fields.keys() | answers.keys()
    extra = {(f"manifest_{name}" if name in reserved else name): value for name, value in extra_of(row).items()}
    return {**fields, **extra, **answers, **fields}  # fields last too: a task may be called text
