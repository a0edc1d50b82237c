"""One id among all parts of an output, and the ids that are nearest to one that is not there.

A part's ids are in the order of a hash, so that its statistics leave few parts out: the column of ids is read of all,
several parts at a time, and nothing else.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from earmark.model.checkpoints.retry import retry_transient
from earmark.reporting.text.plain_text import visible
from earmark.schemas.errors import JobError
from earmark.schemas.records import Failure
from earmark.schemas.tables import extra_as_map
from earmark.scoring.answers import open_database
from earmark.transforms.output.footer import METADATA_KEY, Origin, PartFooter
from earmark.transforms.output.store import OutputStore, part_errors
from earmark.transforms.storage.file_system import wrap_storage_errors

LOCAL_READS, REMOTE_READS = 4, 32  # parts at a time: those of a store wait for an answer, not for this machine
MAX_NEAR = 3
LOOKED_AT = 100  # of the ids that are likest by the quick measure, which are then held against each other by the exact
T = TypeVar("T")
IDS = pa.schema([("id", pa.string())])


@dataclass(frozen=True, slots=True)
class FoundRow:
    """Where an annotation or a failure is, and what wrote it.

    Attributes:
        part: path of the part in the output; "" for a failure that only `failures/` has, a row of a manifest.
        origin: the part as a run wrote it; None where `part` is "".
        compaction: run id of the compaction that merged it; "" in a part as a run wrote it.
        row: the annotation, a table of one row; None for a failure.
        failure: None for an annotation.
    """

    part: str
    origin: Origin | None
    compaction: str
    row: pa.Table | None = None
    failure: Failure | None = None


def find_row(store: OutputStore, id: str) -> FoundRow | None:
    """The annotation of an id, else its latest failure, else None.

    Raises:
        JobError: there are several annotations of the id, or a file is none that earmark wrote.
        OSError: the output cannot be read.
    """
    found = [row for rows in _each_part(store, lambda file: list(_rows_of(file, id))) for row in rows]
    annotations = [row for row in found if row.row is not None]
    if len(annotations) > 1:
        where = " and ".join(row.part for row in annotations)
        raise JobError(
            f"{store.root} has several annotations of {visible(id)}, in {where}; annotate says which part is too much"
        )
    if annotations:
        return annotations[0]
    failures = (Failure(**row) for row in store.read_failures().to_pylist() if row["id"] == id)
    kept = (FoundRow("", None, "", failure=failure) for failure in failures)
    return max([*found, *kept], key=_time_of_run, default=None)


def near_ids(store: OutputStore, id: str) -> list[str]:
    """The ids of annotations and failures that were likely meant, the likeliest first; few or none."""
    batches = (pa.record_batch([ids], schema=IDS) for ids in _each_part(store, _ids_of))
    failed = pa.record_batch([store.read_failures().column("id").combine_chunks()], schema=IDS)
    database = open_database()
    database.register("ids", pa.RecordBatchReader.from_batches(IDS, _chain(batches, failed)))
    found = database.execute(
        """
        WITH likest AS (
            SELECT id, contains(lower(id), lower($asked)) AS whole, jaro_winkler_similarity(id, $asked) AS likeness
            FROM ids ORDER BY whole DESC, likeness DESC, id LIMIT $looked_at
        )
        SELECT DISTINCT id, whole, damerau_levenshtein(id, $asked) AS edits, likeness
        FROM likest WHERE whole OR edits <= $most ORDER BY whole DESC, edits, likeness DESC, id LIMIT $near
        """,
        {"asked": id, "looked_at": LOOKED_AT, "most": max(2, len(id) // 4), "near": MAX_NEAR},
    )
    return [near for near, *_ in found.fetchall()]


@dataclass(frozen=True, slots=True)
class _Part:
    """An open part."""

    path: str
    file: pq.ParquetFile


def _each_part(store: OutputStore, read: Callable[[_Part], T]) -> Iterator[T]:
    """`read` of every part that counts, several at a time, in order."""
    with wrap_storage_errors():
        found, root = url_to_fs(store.root, use_listings_cache=False)
    is_local = isinstance(found, LocalFileSystem)
    handler = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(found))
    file_system = pyarrow.fs.LocalFileSystem() if is_local else handler

    @retry_transient
    def open_and_read(path: str) -> T:
        full = f"{root.rstrip('/')}/{path}"
        with wrap_storage_errors(), part_errors(full), file_system.open_input_file(full) as file:
            return read(_Part(path, pq.ParquetFile(file)))

    with ThreadPoolExecutor(LOCAL_READS if is_local else REMOTE_READS) as threads:
        yield from threads.map(open_and_read, store.parts())


def _rows_of(part: _Part, id: str) -> Iterator[FoundRow]:
    footer = part.file.metadata
    first = 0
    for group in range(footer.num_row_groups):
        about = footer.row_group(group)
        if _may_hold(about, id):
            ids = part.file.read_row_group(group, columns=["id"], use_threads=False).column("id")
            if (index := pc.index(ids, id).as_py()) >= 0:
                row = extra_as_map(part.file.read_row_group(group).slice(index, 1))
                yield _found(part, first + index, lambda origin: origin.annotated, row=row)
        first += about.num_rows
    if json.dumps(id).encode() in footer.metadata.get(METADATA_KEY, b""):  # as the footer has it, if it has it
        for index, failure in enumerate(PartFooter.of(footer).failures):
            if failure.id == id:
                yield _found(part, index, lambda origin: origin.failed, failure=failure)


def _may_hold(about: pq.RowGroupMetaData, id: str) -> bool:
    """Whether the statistics of a row group leave it open that an id is in it: Parquet orders texts as Python does."""
    statistics = about.column(0).statistics if about.column(0).path_in_schema == "id" else None
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= id <= statistics.max)


def _found(
    part: _Part,
    index: int,
    count: Callable[[Origin], int],
    row: pa.Table | None = None,
    failure: Failure | None = None,
) -> FoundRow:
    """A row or failure at `index` of its part; `count` says how many of them an origin brought along."""
    footer = PartFooter.of(part.file.metadata)
    ends = 0
    for origin in footer.origins_of(part.file.metadata.num_rows):
        ends += count(origin)
        if index < ends:
            return FoundRow(part.path, origin, footer.run_id if footer.origins else "", row, failure)
    raise JobError(f"{part.path} has more rows than the parts that it was merged from; its footer is damaged")


def _time_of_run(found: FoundRow) -> tuple[str, bool]:
    """Run ids sort by time; of one run, a part says more than the table that was made of it."""
    assert found.failure is not None
    return found.failure.run_id, found.origin is not None


def _ids_of(part: _Part) -> pa.Array:
    """The ids of a part's annotations and failures."""
    ids = part.file.read(columns=["id"], use_threads=False).column("id").combine_chunks()
    failed = [failure.id for failure in PartFooter.of(part.file.metadata).failures]
    return pa.concat_arrays([ids.cast(pa.string()), pa.array(failed, pa.string())])


def _chain(batches: Iterator[pa.RecordBatch], last: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield from batches
    yield last
