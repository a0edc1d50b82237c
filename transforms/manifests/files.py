"""Reads the rows of manifest files: JSONL, CSV and TSV, compressed or not, and containers of audio."""

import csv
import dataclasses
import io
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import fsspec

from earmark.schemas.errors import JobError
from earmark.schemas.manifest import ManifestRow, ManifestShape, json_object
from earmark.transforms.containers.registry import kind_of_suffix
from earmark.transforms.manifests.find import audio_files, manifest_format
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import wrap_storage_errors

MAX_LINE_BYTES = 2**20


def manifest_rows(manifest: str, shape: ManifestShape, store: OutputStore | None) -> Iterator[ManifestRow]:
    """Read the rows of one manifest, in order; a row that cannot be read has a problem instead of values.

    Args:
        shape: Shape of the rows; it names the column of audio of a manifest that may hold the audio itself.
        store: Output that keeps indexes of containers for the next run; None to read the containers themselves.

    Raises:
        JobError: The manifest cannot be read to its end.
    """
    try:
        with wrap_storage_errors():
            yield from _rows(manifest, shape, store)
    except OSError as error:
        raise JobError(f"manifest {manifest} cannot be read to its end: {error}") from error


def shape_for(manifest: str, shape: ManifestShape) -> ManifestShape:
    """Return the shape of one manifest's rows: relative paths are relative to its folder if no root is set."""
    if shape.audio_root:
        return shape
    folder = manifest.rpartition("/")[0] if "://" in manifest else os.path.dirname(os.path.abspath(manifest))
    return dataclasses.replace(shape, audio_root=folder)


def _rows(manifest: str, shape: ManifestShape, store: OutputStore | None) -> Iterator[ManifestRow]:
    kind = manifest_format(manifest)
    if not kind:
        yield from audio_files(manifest)
    elif container := kind_of_suffix(kind):
        yield from container.rows(manifest, shape, store)
    else:
        with fsspec.open(manifest, "rb", compression="infer") as file:
            lines = _lines(io.BufferedReader(file))  # the file of an object store ignores the limit of readline()
            yield from (
                _json_rows(manifest, lines) if kind in ("jsonl", "json") else _table_rows(manifest, kind, lines)
            )


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a manifest with its line break; `problem` is why its text cannot be read."""

    number: int
    text: str
    problem: str = ""


def _lines(file: BinaryIO) -> Iterator[_Line]:
    """Lines one by one; a line that is not UTF-8, or too long to be read into memory, has a problem."""
    for number in itertools.count(1):
        line = file.readline(MAX_LINE_BYTES + 1)
        if not line:
            return
        size, end = len(line), line[-1:]
        while size > MAX_LINE_BYTES and end != b"\n" and (more := file.readline(MAX_LINE_BYTES)):
            size, end = size + len(more), more[-1:]
        if size > MAX_LINE_BYTES:
            yield _Line(number, "", f"the line has {size} bytes, more than {MAX_LINE_BYTES}; is it a manifest's?")
            continue
        try:
            yield _Line(number, line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            yield _Line(number, "", f"the line is not UTF-8: {error.reason} at byte {error.start}")


def _json_rows(manifest: str, lines: Iterable[_Line]) -> Iterator[ManifestRow]:
    for line in lines:
        values, problem = _json_object(line)
        if problem or line.text.strip():
            yield ManifestRow(manifest, line.number, values, problem)


def _json_object(line: _Line) -> tuple[dict[str, Any], str]:
    """Parse a line as a JSON object, or return its problem."""
    if line.problem or not line.text.strip():
        return {}, line.problem
    return json_object(line.text, "the line")


def _table_rows(manifest: str, kind: str, lines: Iterator[_Line]) -> Iterator[ManifestRow]:
    records = _records(lines, kind)
    header = next((record for record in records if record.fields or record.problem), None)
    if header is None:
        return
    if header.problem:
        raise JobError(f"manifest {manifest}, line {header.line}, has no names of columns: {header.problem}")
    columns = header.fields
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise JobError(f"manifest {manifest} names the column {', '.join(twice)} twice; give each its own name")
    for record in records:
        if record.problem:
            yield ManifestRow(manifest, record.line, {}, record.problem)
        elif len(record.fields) == len(columns):
            yield ManifestRow(manifest, record.line, dict(zip(columns, record.fields, strict=True)))
        elif record.fields:
            problem = f"the row has {len(record.fields)} fields, the header {len(columns)}"
            yield ManifestRow(manifest, record.line, {}, problem)


@dataclass(frozen=True, slots=True)
class _Record:
    """A row of a CSV or TSV file that starts at `line`; a blank line has no fields."""

    line: int
    fields: list[str]
    problem: str = ""


def _records(lines: Iterator[_Line], kind: str) -> Iterator[_Record]:
    """Rows of fields; a quoted field may span several lines.

    A quotation mark that is never closed would silently swallow the rows after it. So if a row cannot be split, only
    its first line is given up, and the next row starts at the line after it.
    """
    pending: deque[_Line] = deque()
    while first := pending.popleft() if pending else next(lines, None):
        if first.problem:
            yield _Record(first.number, [], first.problem)
            continue
        consumed: list[_Line] = []
        texts = _texts(itertools.chain([first], _drain(pending), lines), consumed)
        # Common Voice writes its TSV without quoting: a quotation mark there is a part of the sentence.
        if kind == "tsv":
            reader = csv.reader(texts, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(texts, strict=True)
        try:
            yield _Record(first.number, next(reader))
        except csv.Error as error:
            pending.extendleft(reversed(consumed[1:]))
            yield _Record(first.number, [], f"the row cannot be split into fields: {error}")


def _texts(lines: Iterable[_Line], consumed: list[_Line]) -> Iterator[str]:
    """Texts of lines up to the first with a problem; each line read is added to `consumed`."""
    for line in lines:
        consumed.append(line)
        if line.problem:
            return
        yield line.text


def _drain(pending: "deque[_Line]") -> Iterator[_Line]:
    while pending:
        yield pending.popleft()
