"""Audio of a Parquet file's rows as files, each row group read once."""

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

BATCH_BYTES = 64 * 2**20  # of audio in memory at a time, by the mean of the row group


def unpack_parquet(
    container: ContainerFile, places: Sequence[ParquetLocation], targets: Sequence[str]
) -> list[str | RowError]:
    """Writes the bytes of each place to its target; the targets, or why there is none, in order.

    Raises:
        MachineError: no row is to blame.
        Exception: of any kind, for a file that cannot be opened.
    """
    groups: dict[int, dict[int, int]] = {}  # by row group: the index of the place by its row
    for index, place in enumerate(places):
        groups.setdefault(place.row_group, {})[place.row] = index
    results: dict[int, str | RowError] = {}
    with container.file_system.open(container.path, "rb", cache_type="none") as file:
        parquet = open_slowly(file)
        for rows in groups.values():
            try:
                results |= _unpack_group(parquet, places[next(iter(rows.values()))], rows, targets)
            except MachineError:
                raise
            except Exception as error:  # pyarrow for a damaged file, and file systems, raise what they like
                failed = row_error(places[0].container, error)
                results |= {index: failed for index in rows.values() if index not in results}
    return [results[index] for index in range(len(places))]


@retry_transient
def _unpack_group(
    parquet: pq.ParquetFile, place: ParquetLocation, rows: Mapping[int, int], targets: Sequence[str]
) -> dict[int, str | RowError]:
    """The targets of a row group's rows, or why there is none, by the index that `rows` gives them."""
    return {rows[row]: _written(content, targets[rows[row]]) for row, content in _bytes(parquet, place, rows)}


def _bytes(parquet: pq.ParquetFile, place: ParquetLocation, rows: Collection[int]) -> Iterator[tuple[int, pa.Scalar]]:
    """What is in `rows` of the row group of `place`, in order; no more of it is read than up to the last of them."""
    batch_rows = max(1, BATCH_BYTES // max(1, place.size_bytes))
    batches = parquet.iter_batches(
        batch_size=batch_rows, row_groups=[place.row_group], columns=[place.column], use_threads=False
    )
    first, last = 0, max(rows)
    for batch in batches:
        contents = bytes_of(batch)
        yield from ((row, contents[row - first]) for row in range(first, first + len(contents)) if row in rows)
        first += len(contents)
        if first > last:
            return
    raise EOFError(f"row group {place.row_group} ends after {first} rows")


def _written(content: pa.Scalar, target: str) -> str | RowError:
    if not content.is_valid:
        return RowError(
            "no_bytes", "the row has no bytes of audio; write the file with statistics, or leave the row out"
        )
    write(target, memoryview(content.as_buffer()), "wb")
    return target
