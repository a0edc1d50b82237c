"""Read the parts of an output in order, a few of them ahead."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from earmark.schemas.records import PartReport
from earmark.transforms.output.store import REQUESTS, OutputStore


def part_tables(
    store: OutputStore, paths: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[pa.Table, PartReport]]:
    """Columns and report of each part, in order; at most REQUESTS parts are in memory.

    Raises:
        OSError: The output cannot be read.
        JobError: A file is not a part that earmark wrote.
    """
    with ThreadPoolExecutor(REQUESTS) as threads:
        for start in range(0, len(paths), REQUESTS):
            chunk = paths[start : start + REQUESTS]
            yield from threads.map(lambda path: store.read_columns(path, columns), chunk)
