"""Find an id among all parts of an output, or the ids that are most similar to one that it does not have.

Recordings are spread over parts by a hash of their id, so the statistics of a part rarely rule it out: the id column of
most parts is read, several parts at a time.
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

LOCAL_READS, REMOTE_READS = 4, 32  # parts read at a time; a remote read is mostly waiting
MAX_SIMILAR = 3
CANDIDATES = 100  # most similar ids by a quick measure, which are then ranked by the exact one
T = TypeVar("T")
IDS = pa.schema([("id", pa.string())])


@dataclass(frozen=True, slots=True)
class FoundRow:
    """An annotation or a failure, and where it is.

    Attributes:
        part: Path of the part in the output; "" for a failure of a manifest's row, which is in `failures/` alone.
        origin: Part as the run wrote it, before any compaction; None where `part` is "".
        compaction: Run id of the compaction that merged the part; "" for none.
        row: Annotation, as a table of one row; None for a failure.
        failure: Failure; None for an annotation.
    """

    part: str
    origin: Origin | None
    compaction: str
    row: pa.Table | None = None
    failure: Failure | None = None


def find_row(store: OutputStore, id: str) -> FoundRow | None:
    """Return the annotation of an id, else its latest failure, else None.

    Raises:
        JobError: There are several annotations of the id, or a file is not one that earmark wrote.
        OSError: The output cannot be read.
    """
    rows = [row for part_rows in _each_part(store, lambda part: list(_rows_of(part, id))) for row in part_rows]
    annotations = [row for row in rows if row.row is not None]
    if len(annotations) > 1:
        parts = " and ".join(row.part for row in annotations)
        raise JobError(
            f"{store.root} has several annotations of {visible(id)}, in {parts}; `earmark annotate` names the part to"
            " remove"
        )
    if annotations:
        return annotations[0]
    failures = (Failure(**row) for row in store.read_failures().to_pylist() if row["id"] == id)
    in_table = (FoundRow("", None, "", failure=failure) for failure in failures)
    return max([*rows, *in_table], key=_time_of_run, default=None)


def similar_ids(store: OutputStore, id: str) -> list[str]:
    """The ids of at most MAX_SIMILAR annotations and failures that may have been meant, most similar first."""
    batches = (pa.record_batch([ids], schema=IDS) for ids in _each_part(store, _ids_of))
    failed = pa.record_batch([store.read_failures().column("id").combine_chunks()], schema=IDS)
    database = open_database()
    database.register("ids", pa.RecordBatchReader.from_batches(IDS, _chain(batches, failed)))
    similar = database.execute(
        """
        WITH candidates AS (
            SELECT id, contains(lower(id), lower($id)) AS contained, jaro_winkler_similarity(id, $id) AS similarity
            FROM ids ORDER BY contained DESC, similarity DESC, id LIMIT $candidates
        )
        SELECT DISTINCT id, contained, damerau_levenshtein(id, $id) AS edits, similarity
        FROM candidates WHERE contained OR edits <= $max_edits
        ORDER BY contained DESC, edits, similarity DESC, id LIMIT $max_similar
        """,
        {"id": id, "candidates": CANDIDATES, "max_edits": max(2, len(id) // 4), "max_similar": MAX_SIMILAR},
    )
    return [similar_id for similar_id, *_ in similar.fetchall()]


@dataclass(frozen=True, slots=True)
class _Part:
    """An open part."""

    path: str
    file: pq.ParquetFile


def _each_part(store: OutputStore, read: Callable[[_Part], T]) -> Iterator[T]:
    """Call `read` on every part, several at a time; the results are in order."""
    with wrap_storage_errors():
        file_system, root = url_to_fs(store.root, use_listings_cache=False)
    is_local = isinstance(file_system, LocalFileSystem)
    handler = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(file_system))
    arrow_file_system = pyarrow.fs.LocalFileSystem() if is_local else handler

    @retry_transient
    def open_and_read(path: str) -> T:
        full = f"{root.rstrip('/')}/{path}"
        with wrap_storage_errors(), part_errors(full), arrow_file_system.open_input_file(full) as file:
            return read(_Part(path, pq.ParquetFile(file)))

    with ThreadPoolExecutor(LOCAL_READS if is_local else REMOTE_READS) as threads:
        yield from threads.map(open_and_read, store.parts())


def _rows_of(part: _Part, id: str) -> Iterator[FoundRow]:
    footer = part.file.metadata
    first = 0
    for group in range(footer.num_row_groups):
        group_info = footer.row_group(group)
        if _may_hold(group_info, id):
            ids = part.file.read_row_group(group, columns=["id"], use_threads=False).column("id")
            if (index := pc.index(ids, id).as_py()) >= 0:
                row = extra_as_map(part.file.read_row_group(group).slice(index, 1))
                yield _with_origin(part, first + index, lambda origin: origin.annotated, row=row)
        first += group_info.num_rows
    if json.dumps(id).encode() in footer.metadata.get(METADATA_KEY, b""):  # a quick check before the footer is parsed
        for index, failure in enumerate(PartFooter.of(footer).failures):
            if failure.id == id:
                yield _with_origin(part, index, lambda origin: origin.failed, failure=failure)


def _may_hold(group_info: pq.RowGroupMetaData, id: str) -> bool:
    """Whether a row group may have an id, by its statistics: Parquet orders texts as Python does."""
    column = group_info.column(0)
    statistics = column.statistics if column.path_in_schema == "id" else None
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= id <= statistics.max)


def _with_origin(
    part: _Part,
    index: int,
    count: Callable[[Origin], int],
    row: pa.Table | None = None,
    failure: Failure | None = None,
) -> FoundRow:
    """The row or failure at `index` of its part; `count` returns the number of rows or failures from an origin."""
    footer = PartFooter.of(part.file.metadata)
    ends = 0
    for origin in footer.origins_of(part.file.metadata.num_rows):
        ends += count(origin)
        if index < ends:
            return FoundRow(part.path, origin, footer.run_id if footer.origins else "", row, failure)
    raise JobError(f"{part.path} has more rows than the parts that it was merged from; its footer is damaged")


def _time_of_run(row: FoundRow) -> tuple[str, bool]:
    """Run ids sort by time; within a run, a failure in a part has more details than its copy in `failures/`."""
    assert row.failure is not None
    return row.failure.run_id, row.origin is not None


def _ids_of(part: _Part) -> pa.Array:
    """The ids of a part's annotations and failures."""
    ids = part.file.read(columns=["id"], use_threads=False).column("id").combine_chunks()
    failed = [failure.id for failure in PartFooter.of(part.file.metadata).failures]
    return pa.concat_arrays([ids.cast(pa.string()), pa.array(failed, pa.string())])


def _chain(batches: Iterator[pa.RecordBatch], last: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield from batches
    yield last
