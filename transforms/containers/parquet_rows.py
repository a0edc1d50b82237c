"""Rows of a Parquet file: a plain manifest, or one that holds the audio itself, as Hugging Face's datasets do."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.schemas.locations import ContainedName, ParquetLocation, row_uri
from earmark.schemas.manifest import COLUMNS, ManifestRow, ManifestShape, resolve_uri
from earmark.transforms.containers.container_file import find_container
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.audio_suffixes import AUDIO_SUFFIXES
from earmark.transforms.storage.file_system import wrap_storage_errors

log = logging.getLogger("earmark")
BATCH_ROWS = 4096
READ_BYTES = 16 * 2**20
MASK_ROWS = 32  # rows in memory at a time, where their audio has to be read to see whether it is there
LARGE_GROUP_BYTES = 2**30


def parquet_rows(manifest: str, shape: ManifestShape, store: OutputStore | None = None) -> Iterator[ManifestRow]:
    """Rows of a file, in order; a row that cannot be read has a problem. Bytes of audio are not read.

    Args:
        store: Not used: the file's own index is read each time.

    Raises:
        OSError, ArrowException: The file cannot be read to its end.
    """
    with wrap_storage_errors():
        container = find_container(manifest)
        # No reading ahead, which would read audio: pyarrow itself reads columns that lie together at once.
        file = container.file_system.open(container.path, "rb", cache_type="none")
    with file:
        parquet = pq.ParquetFile(file, pre_buffer=True)
        bytes_path = find_bytes_path(parquet.schema_arrow, shape)
        audio = _Audio(manifest, container.version, bytes_path, shape.audio_root) if bytes_path else None
        number = 0
        for group in range(parquet.num_row_groups):
            rows = _rows_with_audio(parquet, file, group, audio, number) if audio else _plain_rows(parquet, group)
            for row in rows:
                number += 1
                yield ManifestRow(manifest, number, row.values, row.problem, row.uri, row.location)


@dataclass(frozen=True, slots=True)
class _Row:
    """As in ManifestRow."""

    values: dict[str, Any]
    problem: str = ""
    uri: str = ""
    location: ParquetLocation | None = None


@dataclass(frozen=True, slots=True)
class _Audio:
    """Column of audio of a file.

    Attributes:
        bytes_path: Path of the bytes in the column, such as "audio.bytes".
        root: Folder or URL that relative paths in the column belong to.
    """

    manifest: str
    version: str
    bytes_path: str
    root: str

    @property
    def column(self) -> str:
        return self.bytes_path.removesuffix(".bytes")


def find_bytes_path(schema: pa.Schema, shape: ManifestShape) -> str:
    """Path of the bytes in the column of audio, plain or in a struct; "" where no column holds any."""
    named = dict(shape.columns).get("audio")
    for name in COLUMNS["audio"] if named is None else (named,):
        if schema.get_field_index(name) >= 0:
            column = schema.field(name).type
            if _is_binary(column):
                return name
            if pa.types.is_struct(column) and any(field.name == "bytes" and _is_binary(field.type) for field in column):
                return f"{name}.bytes"
    return ""


def _is_binary(type: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_binary_view(type))


def _plain_rows(parquet: pq.ParquetFile, group: int) -> Iterator[_Row]:
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
        yield from _rows(batch)


def _rows_with_audio(parquet: pq.ParquetFile, file: BinaryIO, group: int, audio: _Audio, before: int) -> Iterator[_Row]:
    """Rows of a row group, which `before` rows of the file precede."""
    paths = [parquet.schema.column(index).path for index in range(len(parquet.schema))]
    chunk = parquet.metadata.row_group(group).column(paths.index(audio.bytes_path))
    if chunk.total_compressed_size > LARGE_GROUP_BYTES:
        log.warning(
            "row group %d of %s holds %.1f GB of audio, all of which is read for each shard of its %d rows; write the"
            " file with some hundred rows a group",
            *(group, audio.manifest, chunk.total_compressed_size / 1e9, chunk.num_values),
        )
    have_bytes = _have_bytes(file, group, audio.bytes_path, chunk)
    mean_bytes = chunk.total_uncompressed_size // max(1, chunk.num_values)
    batches = parquet.iter_batches(
        batch_size=BATCH_ROWS, row_groups=[group], columns=[path for path in paths if path != audio.bytes_path]
    )
    for number, row in enumerate(row for batch in batches for row in _rows(batch)):
        values = dict(row.values)
        other_fields = values.pop(audio.column, None) or {}  # of the struct, beside the bytes
        path = f"{other_fields.get('path') or ''}"
        values |= {f"{audio.column}.{name}": value for name, value in other_fields.items()}
        has_bytes = next(have_bytes)  # also for a row with a problem, to stay in step
        if row.problem:
            yield row
        elif has_bytes:
            suffix = PurePosixPath(path).suffix.lower()
            suffix = suffix if suffix in AUDIO_SUFFIXES else ""
            location = ParquetLocation(
                audio.manifest, audio.version, audio.bytes_path, group, number, mean_bytes, suffix
            )
            yield _Row(values, "", row_uri(audio.manifest, before + number), location)
        elif path:
            yield _Row(values, "", resolve_uri(path, audio.root))
        else:
            yield _Row({}, f"there are no bytes of audio in the column {audio.column!r}, and no path of a file")


def _have_bytes(file: BinaryIO, group: int, bytes_path: str, chunk: pq.ColumnChunkMetaData) -> Iterator[bool]:
    """Whether each row of the group has bytes, from the file's statistics; the bytes are read only if some rows do.

    Without statistics, every row is assumed to have bytes.
    """
    statistics = chunk.statistics
    nulls = statistics.null_count if statistics is not None and statistics.has_null_count else 0
    if nulls in (0, chunk.num_values):
        yield from (nulls == 0 for _ in range(chunk.num_values))
        return
    for batch in open_slowly(file).iter_batches(batch_size=MASK_ROWS, row_groups=[group], columns=[bytes_path]):
        yield from bytes_of(batch).is_valid().to_pylist()


def open_slowly(file: BinaryIO) -> pq.ParquetFile:
    """Open a Parquet file to read it some MB at a time, where pyarrow would read a whole row group into memory."""
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_BYTES)


def bytes_of(batch: pa.RecordBatch) -> pa.Array:
    """Bytes in a batch that holds no other field of their column."""
    column = batch.column(0)
    return column.flatten()[0] if pa.types.is_struct(column.type) else column


def _rows(batch: pa.RecordBatch) -> list[_Row]:
    """Rows of a batch; a row that cannot be converted has a problem."""
    try:
        return [_Row(values) for values in batch.to_pylist()]
    except ValueError as error:  # text that is not UTF-8, a moment that Python cannot tell
        if batch.num_rows == 1:
            return [_Row({}, f"the row cannot be read: {error}")]
    return [row for number in range(batch.num_rows) for row in _rows(batch.slice(number, 1))]


def locate_row(name: ContainedName, shape: ManifestShape, store: OutputStore | None = None) -> ParquetLocation:
    """Location of the bytes of an annotated row.

    The column of audio is the one from which a manifest of `shape` is read, or else the only one that holds bytes.

    Args:
        store: Not used: the file's own index is read each time.

    Raises:
        ValueError: There is no such row, or not exactly one column of bytes.
        Exception: Of any class, for a file that cannot be read.
    """
    manifest, row = name.container, name.row or 0
    container = find_container(manifest)
    with container.file_system.open(container.path, "rb", cache_type="none") as file:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        candidates = [path for name in schema.names if (path := find_bytes_path(schema, _audio_in(name)))]
        bytes_path = find_bytes_path(schema, shape) or (candidates[0] if len(candidates) == 1 else "")
        if not bytes_path:
            raise ValueError(f"{manifest} has {len(candidates)} columns of bytes, none of which is called like audio")
        row_in_group = row
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if row_in_group < rows:
                return ParquetLocation(manifest, container.version, bytes_path, group, row_in_group, 2**20, "")
            row_in_group -= rows
    raise ValueError(f"{manifest} ends before row {row}")


def _audio_in(column: str) -> ManifestShape:
    return ManifestShape((("audio", column),))
