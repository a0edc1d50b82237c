"""Parses a row of any manifest to a Recording.

Shapes that need no options: NeMo's JSONL (`audio_filepath, duration, offset, text`), the Qwen2-Audio
evaluation's JSONL (`audio, source, prompt, gt`), Common Voice's TSV (`path, sentence, locale`), and CSV or Parquet with
any of these names. Other columns are carried along as text.
"""

import functools
import json
import math
import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from earmark.schemas.errors import RowError
from earmark.schemas.locations import AudioLocation
from earmark.schemas.records import Failure, Recording

# Of each list the first column that a row has is used; all other columns are carried along in `extra`.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "audio": ("audio_filepath", "audio", "path", "file", "file_name", "uri", "url"),
    "offset": ("offset",),
    "duration": ("duration",),
    "channel": ("channel",),
    "language": ("language", "lang", "locale"),
    "prompt": ("prompt",),
    "reference": ("text", "gt", "sentence", "reference", "transcript", "transcription", "txt"),
}


@dataclass(frozen=True, slots=True)
class ManifestShape:
    """How the rows of a manifest are read.

    Attributes:
        columns: Pairs of (name in COLUMNS, column of the manifest) that the user has set.
        audio_root: Folder or URL that relative audio paths are relative to.
    """

    columns: tuple[tuple[str, str], ...] = ()
    audio_root: str = ""

    def used(self, row: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the column that holds each name of COLUMNS, for the names that the row has."""
        return _used(self.columns, tuple(row))


@functools.lru_cache(maxsize=64)  # rows of one manifest mostly have the same columns
def _used(chosen: tuple[tuple[str, str], ...], columns: tuple[str, ...]) -> Mapping[str, str]:
    """As ManifestShape.used; a column that the user has chosen is the only candidate for its name."""
    candidates = {**COLUMNS, **{name: (column,) for name, column in chosen}}
    present = {name: [column for column in candidates[name] if column in columns] for name in COLUMNS}
    return {name: matches[0] for name, matches in present.items() if matches}


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row of a manifest before it is parsed.

    Attributes:
        line: Number of the line, row or member, from 1.
        values: Values by column.
        problem: Why the row cannot be read; "" if it can.
        uri: Path or URL of audio that no column names, such as a member of a tar.
        location: Location of audio in a container.
    """

    manifest: str
    line: int
    values: Mapping[str, Any]
    problem: str = ""
    uri: str = ""
    location: AudioLocation | None = None


def parse_row(row: ManifestRow, shape: ManifestShape) -> Recording | Failure:
    """Return the Recording of a row, or a Failure whose id is the manifest and line.

    The row's own id only appears in the message: another row may have it too, and one id would be annotated and failed.
    """
    try:
        if row.problem:
            raise RowError("bad_manifest_row", row.problem)
        return _recording(row, shape)
    except RowError as error:
        line_name = f"{row.manifest}:{row.line}"
        id = _text_or_empty(row.values, shape, "id")
        message = f"id {id[:80]!r}: {error.message}" if id else error.message
        recording = Recording(id=line_name, uri=row.uri or _text_or_empty(row.values, shape, "audio"))
        return Failure.of(recording, "ReadManifest", RowError(error.error, f"{line_name}: {message}"))


def json_object(text: str, name: str) -> tuple[dict[str, Any], str]:
    """Parse `text` as a JSON object; return it and "", or {} and the problem, which calls the text `name`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"{name} is not JSON: {error}"
    return (values, "") if isinstance(values, dict) else ({}, f"{name} is not a JSON object: {text.strip()[:60]}")


def resolve_uri(path: str, root: str) -> str:
    """Return `path` itself if it is absolute or a URL, else the path below `root`."""
    if "://" in path or os.path.isabs(path) or not root:
        return path
    return f"{root.rstrip('/')}/{path.removeprefix('./')}"


def _recording(row: ManifestRow, shape: ManifestShape) -> Recording:
    values = row.values
    names = [name for name in COLUMNS if name != "audio" or not row.uri]
    _check_columns(values, [(name, column) for name, column in shape.columns if name in names])
    used = {name: column for name, column in shape.used(values).items() if name in names}
    row_values = {name: values[column] for name, column in used.items()}
    uri = row.uri or _uri(row_values.get("audio"), shape)
    if "\0" in uri:
        raise RowError("bad_path", "the path of the audio holds a NUL character")
    offset_s = _seconds(row_values.get("offset"), "offset")
    if offset_s is not None and offset_s < 0:
        raise RowError("bad_offset", f"offset {offset_s} is negative; it counts seconds from the start of the file")
    duration_s = _seconds(row_values.get("duration"), "duration")
    if duration_s is not None and duration_s <= 0:
        raise RowError("bad_duration", f"duration {duration_s} is not positive; leave it out for the whole file")
    channel = _channel(row_values.get("channel"))
    extra = {column: _as_text(value) for column, value in values.items() if column not in used.values()}
    for text in (uri, *extra, *extra.values()):
        _check_unicode(text)
    return Recording(
        id=_text(row_values.get("id"), "id") or _default_id(uri, offset_s, channel),
        uri=uri,
        offset_s=offset_s or 0.0,
        duration_s=duration_s,
        channel=channel,
        language=_text(row_values.get("language"), "language") or None,
        prompt=_text(row_values.get("prompt"), "prompt") or None,
        reference=None if row_values.get("reference") is None else _text(row_values["reference"], "reference"),
        extra=tuple(sorted(extra.items())),
        location=row.location,
    )


def _uri(value: Any, shape: ManifestShape) -> str:
    audio = _text(value, "audio")
    if not audio:
        columns = dict(shape.columns).get("audio") or ", ".join(COLUMNS["audio"])
        raise RowError("no_audio", f"the row names no audio file; looked for {columns} (map another with --columns)")
    return resolve_uri(audio, shape.audio_root)


def _check_columns(values: Mapping[str, Any], named: Iterable[tuple[str, str]]) -> None:
    """Raises RowError if a column that the user named is absent: without it, the row would get another id."""
    for name, column in named:
        if column not in values:
            columns = ", ".join(sorted(values)) or "none"
            raise RowError(
                "no_such_column", f"the row has no column {column!r}, which --columns names as {name}; it has {columns}"
            )


def _default_id(uri: str, offset_s: float | None, channel: int | None) -> str:
    parts = [f"offset={repr(offset_s).removesuffix('.0')}"] if offset_s else []
    parts += [f"channel={channel}"] if channel is not None else []
    return f"{uri}#{'&'.join(parts)}" if parts else uri


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise RowError(f"bad_{name}", f"{name} is {_quoted(value)}, which is not text")
    text = _as_text(value)
    _check_unicode(text)
    return text


def _check_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError("bad_unicode", f"{text[:80]!r} holds half of a character pair; write it as UTF-8") from error


def _seconds(value: Any, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RowError(f"bad_{name}", f"{name} is {_quoted(value)}, which is not a number of seconds") from error
    if not math.isfinite(seconds):
        raise RowError(f"bad_{name}", f"{name} is {seconds}, which is not a number of seconds")
    return seconds


def _channel(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)  # not int(): pandas writes the channels of a column with gaps as 1.0
        channel = int(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise RowError("bad_channel", f"channel is {_quoted(value)}; count channels from 0") from error
    if channel < 0 or channel != number:
        raise RowError("bad_channel", f"channel is {_quoted(value)}; count channels from 0")
    return channel


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError("bad_manifest_row", f"a value cannot be written as text: {error}") from error


def _quoted(value: Any) -> str:
    return repr(_as_text(value)[:80])


def _text_or_empty(values: Mapping[str, Any], shape: ManifestShape, name: str) -> str:
    """Value of a broken row as text; "" if it has none."""
    column = shape.used(values).get(name)
    value = None if column is None else values[column]
    return _as_text(value) if isinstance(value, str | int | float) else ""
