"""Annotations as lhotse manifests: recordings and supervisions, one of each per row, in the same order.

Written without lhotse, in the form that it reads. Source: lhotse 1.33, lhotse/audio/recording.py and
lhotse/supervision.py.
"""

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import pyarrow as pa

from earmark.reporting.export.job import ExportJob
from earmark.reporting.export.rows import Counts, Row, extra_of, finite, flat_answers, language_of, text_task
from earmark.schemas.job_description import AskedTask

RECORDINGS, SUPERVISIONS = "recordings.jsonl.gz", "supervisions.jsonl.gz"


def write(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> None:
    task = text_task(job.tasks)
    with ExitStack() as opened:
        raw = [opened.enter_context(job.target.create(name)) for name in (RECORDINGS, SUPERVISIONS)]
        recordings, supervisions = (opened.enter_context(_compressed(file)) for file in raw)
        for table in tables:
            for row in table.to_pylist():
                counts.add_written(row)
                recordings.write(_line(_recording(row)))
                supervisions.write(_line(_supervision(row, job, task)))


def _compressed(file: BinaryIO) -> gzip.GzipFile:
    """Without the time in its header, so that the same export is the same bytes."""
    return gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6)


def _line(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _recording(row: Row) -> dict[str, Any]:
    """The file as far as its length is known: up to the end of the annotated part."""
    audio = row["audio"]
    samples = round((row["offset_s"] + audio["duration_s"]) * audio["sample_rate"])
    channels = list(range(audio["channels"]))
    source_type = "url" if "://" in row["uri"] else "file"
    return {
        "id": row["id"],
        "sources": [{"type": source_type, "channels": channels, "source": row["uri"]}],
        "sampling_rate": audio["sample_rate"],
        "num_samples": samples,
        "duration": samples / audio["sample_rate"],
        "channel_ids": channels,
    }


def _supervision(row: Row, job: ExportJob, task: AskedTask | None) -> dict[str, Any]:
    """`task`: Task whose answer is the text; None where no task answers in text."""
    audio = row["audio"]
    channels = list(range(audio["channels"]))
    all_channels = channels if len(channels) > 1 else 0
    # In whole samples, so that it ends where the recording does.
    start = round(row["offset_s"] * audio["sample_rate"])
    end = round((row["offset_s"] + audio["duration_s"]) * audio["sample_rate"])
    answers = {name: value for name, value in flat_answers(row, job.tasks).items() if not (task and name == task.name)}
    custom = {"reference": row["reference"], "manifest": extra_of(row) or None, **answers}
    supervision = {
        "id": row["id"],
        "recording_id": row["id"],
        "start": start / audio["sample_rate"],
        "duration": (end - start) / audio["sample_rate"],
        "channel": all_channels if row["channel"] is None else row["channel"],
        "custom": {name: value for name, value in custom.items() if value is not None},
    }
    if task:
        answer = row[task.name] or {}
        language = language_of(row, task, job.language)
        supervision |= {"text": answer.get("text") or ""} | ({"language": language} if language else {})
        supervision["custom"]["segments"] = finite(answer.get("segments") or [])
    return supervision
