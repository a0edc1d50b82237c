"""Rows of manifest files as they stand there: JSONL, CSV and TSV, compressed or not, Parquet, and tars of audio."""

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
    """The rows of one manifest, in order; a row that cannot be read has a problem instead of values.

    Args:
        shape: says which column holds audio where a manifest may hold it itself.
        store: keeps what tars hold, for the next run; None to read them.

    Raises:
        JobError: the manifest cannot be read to its end.
    """
    try:
        with wrap_storage_errors():
            yield from _rows(manifest, shape, store)
    except OSError as error:
        raise JobError(f"manifest {manifest} cannot be read to its end: {error}") from error


def shape_for(manifest: str, shape: ManifestShape) -> ManifestShape:
    """The shape of one manifest's rows: relative paths are relative to its folder where no root is set."""
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
            lines = _lines(io.BufferedReader(file))  # the file of an object store knows no limit of a line
            yield from (
                _json_rows(manifest, lines) if kind in ("jsonl", "json") else _table_rows(manifest, kind, lines)
            )


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a manifest with its end; `problem` says why there is no text."""

    number: int
    text: str
    problem: str = ""


def _lines(file: BinaryIO) -> Iterator[_Line]:
    """Lines one by one; a line that is too long, which is never held as a whole, or not UTF-8 has a problem."""
    for number in itertools.count(1):
        line = file.readline(MAX_LINE_BYTES + 1)
        if not line:
            return
        size, end = len(line), line[-1:]
        while size > MAX_LINE_BYTES and end != b"\n" and (rest := file.readline(MAX_LINE_BYTES)):
            size, end = size + len(rest), rest[-1:]
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
    """A line's JSON object, or what is wrong with the line."""
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
    """A row of a CSV or TSV file as it starts at `line`; a blank line has no fields."""

    line: int
    fields: list[str]
    problem: str = ""


def _records(lines: Iterator[_Line], kind: str) -> Iterator[_Record]:
    """Rows, which quotation marks may stretch over several lines.

    A quotation mark that is never closed would swallow the rows after it without a word: where a row cannot be
    split, only its first line is given up, and the next row is looked for in the line after that.
    """
    waiting: deque[_Line] = deque()
    while first := waiting.popleft() if waiting else next(lines, None):
        if first.problem:
            yield _Record(first.number, [], first.problem)
            continue
        taken: list[_Line] = []
        texts = _texts(itertools.chain([first], _drain(waiting), lines), taken)
        # Common Voice writes its TSV without quoting: a quotation mark there is a part of the sentence.
        if kind == "tsv":
            reader = csv.reader(texts, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(texts, strict=True)
        try:
            yield _Record(first.number, next(reader))
        except csv.Error as error:
            waiting.extendleft(reversed(taken[1:]))
            yield _Record(first.number, [], f"the row cannot be split into fields: {error}")


def _texts(lines: Iterable[_Line], taken: list[_Line]) -> Iterator[str]:
    """Texts of lines up to the first that has none; what was taken from `lines` is noted."""
    for line in lines:
        taken.append(line)
        if line.problem:
            return
        yield line.text


def _drain(waiting: "deque[_Line]") -> Iterator[_Line]:
    while waiting:
        yield waiting.popleft()
