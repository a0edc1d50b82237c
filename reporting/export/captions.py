"""Annotations as captions: a WebVTT or SubRip file a recording, and `files.jsonl`, which says whose it is.

Times are in the file at `uri`, also where a recording is a part of it. WebVTT: W3C, "WebVTT: The Web Video Text Tracks
Format", 4; a cue's text is escaped as it asks. SubRip has no escapes: what players take for tags is written with
similar characters.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from earmark.reporting.export.rows import Counts, Row
from earmark.schemas.job_description import AskedTask
from earmark.schemas.records import stable_hash
from earmark.schemas.text import one_line

INDEX = "files.jsonl"
MIN_CUE_S = 0.001  # both formats ask for an end after the start, in whole milliseconds
MAX_NAME_CHARACTERS = 100
# What players take for the start or end of a tag, and what is written instead.
SRT_CHARACTERS = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")"})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
# What Windows takes for a device, whatever comes after a dot.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """`name`: within the export's folder; `index`: its line of INDEX."""

    name: str
    content: str
    index: str


def caption_files(tables: Iterable[pa.Table], task: AskedTask, format: str, counts: Counts) -> Iterator[CaptionFile]:
    """A file for each row; `format` is vtt or srt."""
    write = _vtt if format == "vtt" else _srt
    for table in tables:
        for row in table.to_pylist():
            counts.written(row)
            name = f"{file_name(row['id'])}.{format}"
            index = json.dumps({"id": row["id"], "uri": row["uri"], "file": name}, ensure_ascii=False)
            yield CaptionFile(name, write(list(_cues(row, task))), index + "\n")


def file_name(id: str) -> str:
    """A name of a file, without its suffix, that is an id's and no other's.

    An id of plain characters is its own name; of any other, those are kept that are plain, and a hash follows after a
    `~`, which no plain id has.
    """
    if _PLAIN_NAME.fullmatch(id) and len(id) <= MAX_NAME_CHARACTERS and not _DEVICE.fullmatch(id):
        return id
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", id).strip("_")[:MAX_NAME_CHARACTERS]
    return f"{kept}~{stable_hash(id)[:16]}"


@dataclass(frozen=True, slots=True)
class _Cue:
    """`text` is one line, and not empty."""

    start_ms: int
    end_ms: int
    text: str


def _cues(row: Row, task: AskedTask) -> Iterator[_Cue]:
    answer = row[task.name] or {}
    start_s = row["offset_s"]
    whole: dict[str, Any] = {
        "start_s": start_s,
        "end_s": start_s + row["audio"]["duration_s"],
        "text": answer.get("text") or "",
    }
    for segment in answer.get("segments") or [whole]:
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
    shown = ((cue, cue.text.translate(SRT_CHARACTERS)) for cue in cues)
    blocks = [
        f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n{text}\n"
        for number, (cue, text) in enumerate(shown, 1)
    ]
    return "\n".join(blocks)


def _time(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{ms:03d}"
