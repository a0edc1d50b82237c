"""Unpacks audio from rows of a Parquet file, and reads each row group once."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.locations import ParquetLocation
from earmark.transforms.containers.container_file import ContainerFile
from earmark.transforms.containers.parquet_rows import bytes_of, open_slowly
from earmark.transforms.storage.fetch_audio import row_error
from earmark.transforms.storage.scratch_file import write

BATCH_BYTES = 64 * 2**20  # of audio in memory at a time, estimated from the mean of the row group


def unpack_parquet(
    container: ContainerFile, locations: Sequence[ParquetLocation], targets: Sequence[str]
) -> list[str | RowError]:
    """Write the bytes at each location to its target; return each target, or the error of its row.

    Raises:
        MachineError: The machine is at fault, not a row.
        Exception: Of any class, for a file that cannot be opened.
    """
    groups: dict[int, dict[int, int]] = {}  # by row group: the index of the location by its row
    for index, location in enumerate(locations):
        groups.setdefault(location.row_group, {})[location.row] = index
    results: dict[int, str | RowError] = {}
    with container.file_system.open(container.path, "rb", cache_type="none") as file:
        parquet = open_slowly(file)
        for rows in groups.values():
            try:
                results |= _unpack_group(parquet, locations[next(iter(rows.values()))], rows, targets)
            except MachineError:
                raise
            except Exception as error:  # pyarrow, for a damaged file, and file systems raise errors of any class
                failed = row_error(locations[0].container, error)
                results |= {index: failed for index in rows.values() if index not in results}
    return [results[index] for index in range(len(locations))]


@retry_transient
def _unpack_group(
    parquet: pq.ParquetFile, location: ParquetLocation, rows: Mapping[int, int], targets: Sequence[str]
) -> dict[int, str | RowError]:
    """Target or error of each row of a row group, by the index that `rows` gives the row."""
    return {rows[row]: _write_bytes(content, targets[rows[row]]) for row, content in _bytes(parquet, location, rows)}


def _bytes(
    parquet: pq.ParquetFile, location: ParquetLocation, rows: Collection[int]
) -> Iterator[tuple[int, pa.Scalar]]:
    """Bytes of `rows` of the row group of `location`, in order; it is read no further than the last of these rows."""
    batch_rows = max(1, BATCH_BYTES // max(1, location.size_bytes))
    batches = parquet.iter_batches(
        batch_size=batch_rows, row_groups=[location.row_group], columns=[location.column], use_threads=False
    )
    first, last = 0, max(rows)
    for batch in batches:
        contents = bytes_of(batch)
        yield from ((row, contents[row - first]) for row in range(first, first + len(contents)) if row in rows)
        first += len(contents)
        if first > last:
            return
    raise EOFError(f"row group {location.row_group} ends after {first} rows")


def _write_bytes(content: pa.Scalar, target: str) -> str | RowError:
    if not content.is_valid:
        return RowError(
            "no_bytes", "the row has no bytes of audio; write the file with statistics, or leave the row out"
        )
    write(target, memoryview(content.as_buffer()), "wb")
    return target
