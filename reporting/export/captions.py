"""Annotations as captions: a WebVTT or SubRip file per recording, and `files.jsonl`, which maps ids to files.

Times are those of the file at `uri`, also where a recording is a part of it. WebVTT: W3C, "WebVTT: The Web Video Text
Tracks Format", 4; cue text is escaped as it requires. SubRip has no escapes: characters that players take for tags are
replaced by similar ones.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from earmark.reporting.export.job import ExportJob
from earmark.reporting.export.rows import Counts, Row, text_task
from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask
from earmark.schemas.records import stable_hash
from earmark.schemas.text import one_line

INDEX = "files.jsonl"
MIN_CUE_S = 0.001  # both formats require an end after the start, in whole milliseconds
MAX_NAME_CHARACTERS = 100
# Characters that players take for the start or end of a tag, and their substitutes.
SRT_CHARACTERS = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")"})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
# Names that Windows takes for devices, whatever follows a dot.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def write(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> None:
    task = text_task(job.tasks)
    assert task is not None  # export() has checked ExportFormat.needs_text
    format_cues = _vtt if job.format.name == "vtt" else _srt
    with job.target.create(INDEX) as index:
        for table in tables:
            for row in table.to_pylist():
                counts.add_written(row)
                name = f"{file_name(row['id'])}.{job.format.name}"
                _write_file(job, name, format_cues(list(_cues(row, task))))
                line = json.dumps({"id": row["id"], "uri": row["uri"], "file": name}, ensure_ascii=False)
                index.write(f"{line}\n".encode())


def _write_file(job: ExportJob, name: str, content: str) -> None:
    try:
        with job.target.create(name) as file:
            file.write(content.encode())
    except FileExistsError as error:  # of two ids on a disk that does not tell A from a
        raise JobError(f"{name} is there twice in {job.target.path}; export to another disk") from error


def file_name(id: str) -> str:
    """The name of an id's file, without its suffix; no two ids share one.

    An id of plain characters is its own name. Any other keeps its plain characters, and a hash follows after a `~`,
    which no plain id contains.
    """
    if _PLAIN_NAME.fullmatch(id) and len(id) <= MAX_NAME_CHARACTERS and not _DEVICE.fullmatch(id):
        return id
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", id).strip("_")[:MAX_NAME_CHARACTERS]
    return f"{plain}~{stable_hash(id)[:16]}"


@dataclass(frozen=True, slots=True)
class _Cue:
    """`text` is one line and never empty."""

    start_ms: int
    end_ms: int
    text: str


def _cues(row: Row, task: AskedTask) -> Iterator[_Cue]:
    answer = row[task.name] or {}
    start_s = row["offset_s"]
    recording: dict[str, Any] = {
        "start_s": start_s,
        "end_s": start_s + row["audio"]["duration_s"],
        "text": answer.get("text") or "",
    }
    for segment in answer.get("segments") or [recording]:
        text = one_line(segment["text"])
        times = segment["start_s"], segment["end_s"]
        if text and all(map(math.isfinite, times)):
            start_ms = max(0, round(times[0] * 1000))
            yield _Cue(start_ms, max(start_ms + round(MIN_CUE_S * 1000), round(times[1] * 1000)), text)


def _vtt(cues: list[_Cue]) -> str:
    escaped = ((cue, cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) for cue in cues)
    blocks = [f"{_time(cue.start_ms, '.')} --> {_time(cue.end_ms, '.')}\n{text}\n" for cue, text in escaped]
    return "\n".join(["WEBVTT\n", *blocks])


def _srt(cues: list[_Cue]) -> str:
    translated = ((cue, cue.text.translate(SRT_CHARACTERS)) for cue in cues)
    blocks = [
        f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n{text}\n"
        for number, (cue, text) in enumerate(translated, 1)
    ]
    return "\n".join(blocks)


def _time(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{ms:03d}"
