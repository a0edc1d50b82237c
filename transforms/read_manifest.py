"""ReadManifest: JSONL, CSV, TSV, Parquet, or a folder or glob of audio files, as recordings and failures."""

import csv
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

import apache_beam as beam
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from schemas.errors import JobError
from schemas.manifest import ManifestRow, ManifestShape, parse_row
from schemas.records import Failure, Recording
from transforms.counters import Counters

MAX_LINE_BYTES = 2**20
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
COMPRESSIONS = ("gz", "bz2", "xz", "zst")
AUDIO_NAMES = "wav flac mp3 ogg oga opus m4a mp4 aac webm mka mkv amr gsm g722 aif aiff au wma wv caf"
AUDIO_SUFFIXES = frozenset(f".{name}" for name in AUDIO_NAMES.split())


def manifest_format(path: str) -> str:
    """One of FORMATS by the name, compressed or not; "" for what is no manifest."""
    suffixes = [suffix.lstrip(".").lower() for suffix in PurePosixPath(path).suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in FORMATS else ""


def find_manifests(manifest: str) -> list[str]:
    """The manifest files that `manifest` (a file or a glob of files) stands for, or itself for a folder of audio.

    Raises:
        JobError: there is nothing there.
    """
    try:
        file_system, path = url_to_fs(manifest)
        if any(mark in path for mark in "*?[") and not file_system.exists(path):
            found = sorted(file_system.glob(path))
            if not found:
                raise JobError(f"nothing matches the manifest {manifest}")
            manifests = [file_system.unstrip_protocol(name) for name in found if manifest_format(name)]
            return [name.removeprefix("file://") for name in manifests] if manifests else [manifest]
        if not file_system.exists(path):
            raise JobError(f"there is no manifest {manifest}")
        if file_system.isdir(path) or manifest_format(path):
            return [manifest]
    except (ValueError, ImportError, OSError) as error:
        raise JobError(f"manifest {manifest} cannot be reached: {error}") from error
    raise JobError(
        f"manifest {manifest} is none that earmark reads: a file ending in {', '.join('.' + name for name in FORMATS)}"
        " (compressed or not), a folder of audio files, or a glob of either"
    )


def read_manifests(manifests: Sequence[str], shape: ManifestShape, limit: int = 0) -> Iterator[Recording | Failure]:
    """What the manifests hold, in order; the first `limit` of it unless that is 0."""
    rows = (parse_row(row, shape) for manifest in manifests for row in _rows(manifest))
    return itertools.islice(rows, limit or None)


def _rows(manifest: str) -> Iterator[ManifestRow]:
    kind = manifest_format(manifest)
    if not kind:
        return _audio_files(manifest)
    if kind == "parquet":
        return _parquet_rows(manifest)
    return _text_rows(manifest, kind)


def _text_rows(manifest: str, kind: str) -> Iterator[ManifestRow]:
    with fsspec.open(manifest, "rb", compression="infer") as file:
        lines = _lines(manifest, file)
        yield from _json_rows(lines) if kind in ("jsonl", "json") else _table_rows(manifest, kind, lines)


def _lines(manifest: str, file: BinaryIO) -> Iterator[ManifestRow]:
    """Lines as {"line": text}, without their ends; a line that is too long or not UTF-8 has a problem instead."""
    try:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE_BYTES)
            if not line:
                return
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                size = len(line)
                while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                    size += len(rest)
                problem = f"the line has {size + len(rest)} bytes, more than {MAX_LINE_BYTES}; is it a manifest's?"
                yield ManifestRow(manifest, number, {}, problem)
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                yield ManifestRow(manifest, number, {}, f"the line is not UTF-8: {error.reason} at byte {error.start}")
                continue
            yield ManifestRow(manifest, number, {"line": text})
    except (EOFError, zlib.error, OSError) as error:
        raise JobError(f"manifest {manifest} cannot be read to its end: {error}") from error


def _json_rows(lines: Iterable[ManifestRow]) -> Iterator[ManifestRow]:
    for line in lines:
        if line.problem:
            yield line
        elif text := line.values["line"].strip():
            try:
                values = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield ManifestRow(line.manifest, line.line, {}, f"the line is not JSON: {error}")
                continue
            if isinstance(values, dict):
                yield ManifestRow(line.manifest, line.line, values)
            else:
                yield ManifestRow(line.manifest, line.line, {}, f"the line is not a JSON object: {text[:60]}")


def _table_rows(manifest: str, kind: str, lines: Iterator[ManifestRow]) -> Iterator[ManifestRow]:
    broken: list[ManifestRow] = []

    def texts() -> Iterator[str]:
        for line in lines:
            if line.problem:
                broken.append(line)
            else:
                yield line.values["line"]

    # Common Voice writes its TSV without quoting: a quotation mark there is a part of the sentence.
    reader = csv.reader(texts(), delimiter="\t", quoting=csv.QUOTE_NONE) if kind == "tsv" else csv.reader(texts())
    header: list[str] | None = None
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield ManifestRow(manifest, reader.line_num + len(broken), {}, f"the line cannot be split: {error}")
            continue
        yield from _flush(broken)
        if header is None:
            header = fields
        elif len(fields) == len(header):
            yield ManifestRow(manifest, reader.line_num + len(broken), dict(zip(header, fields, strict=True)))
        elif fields:
            problem = f"the line has {len(fields)} fields, the header {len(header)}"
            yield ManifestRow(manifest, reader.line_num + len(broken), {}, problem)
    yield from _flush(broken)


def _flush(rows: list[ManifestRow]) -> Iterator[ManifestRow]:
    while rows:
        yield rows.pop(0)


def _parquet_rows(manifest: str) -> Iterator[ManifestRow]:
    with fsspec.open(manifest, "rb") as file:
        try:
            numbers = itertools.count(1)
            for batch in pq.ParquetFile(file).iter_batches(batch_size=4096):
                for values in batch.to_pylist():
                    yield ManifestRow(manifest, next(numbers), values)
        except (pa.ArrowInvalid, OSError) as error:
            raise JobError(f"manifest {manifest} cannot be read: {error}") from error


def _audio_files(place: str) -> Iterator[ManifestRow]:
    """The files of a folder with the suffix of an audio file, or all that a glob matches, by name."""
    file_system, path = url_to_fs(place)
    is_folder = file_system.isdir(path)
    found = file_system.find(path) if is_folder else file_system.glob(path)
    names = [name for name in sorted(found) if not is_folder or PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]
    is_local = "file" in file_system.protocol
    for number, name in enumerate(names, 1):
        uri = os.path.abspath(name) if is_local else file_system.unstrip_protocol(name)
        yield ManifestRow(place, number, {"audio": uri})


@beam.typehints.with_input_types(list[str])
@beam.typehints.with_output_types(Recording)
class _ReadManifests(beam.DoFn):
    def __init__(self, shape: ManifestShape, limit: int, counters: Counters):
        self._shape, self._limit, self._counters = shape, limit, counters

    def process(self, manifests: list[str]) -> Iterator[Recording | beam.pvalue.TaggedOutput]:
        for row in read_manifests(manifests, self._shape, self._limit):
            if isinstance(row, Failure):
                self._counters.add("bad_manifest_rows")
                yield beam.pvalue.TaggedOutput("failures", row)
            else:
                self._counters.add("manifest_rows")
                yield row


class ReadManifest(beam.PTransform):
    """Recordings (main output) and `failures`; manifests are read side by side unless a limit counts over all."""

    def __init__(self, manifests: Sequence[str], shape: ManifestShape, limit: int, counters: Counters):
        super().__init__()
        self._manifests, self._shape, self._limit, self._counters = list(manifests), shape, limit, counters

    def expand(self, pipeline: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        groups = [self._manifests] if self._limit else [[manifest] for manifest in self._manifests]
        read = beam.ParDo(_ReadManifests(self._shape, self._limit, self._counters))
        return pipeline | beam.Create(groups) | beam.Reshuffle() | read.with_outputs("failures", main="recordings")
