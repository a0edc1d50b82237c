"""Merges small parts of the output: groups them, and encodes each group as one part."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.schemas.errors import JobError
from earmark.schemas.records import stable_hash
from earmark.transforms.output.footer import PartFooter
from earmark.transforms.output.store import MERGED_FOLDER, part_errors

MAX_ENTRIES = 250_000  # rows and failures of a merged part: a reader of ids, or of the footer, holds them all
ROW_GROUP_BYTES = 64 * 2**20  # in memory, uncompressed; some ten thousand rows of transcripts


@dataclass(frozen=True, slots=True, eq=False)
class SmallPart:
    """A part to merge, as the bytes of its file."""

    path: str
    content: bytes
    footer: PartFooter
    annotated: int

    @property
    def entries(self) -> int:
        """Number of rows and failures together."""
        return self.annotated + len(self.footer.failures)


@dataclass(frozen=True, slots=True, eq=False)
class MergedPart:
    """A part that replaces others, whose paths are `replaces`."""

    path: str
    content: bytes
    replaces: tuple[str, ...]


def read_small(path: str, content: bytes) -> SmallPart:
    """Raises JobError if the content is not a part."""
    with part_errors(path):
        file = pq.read_metadata(pa.BufferReader(content))
        return SmallPart(path, content, PartFooter.of(file), file.num_rows)


def group_parts(parts: Iterable[SmallPart], max_bytes: int, max_entries: int) -> Iterator[list[SmallPart]]:
    """Group the parts, in their order, up to `max_bytes` and `max_entries`; a larger part is a group by itself.

    If every part is below half of both bounds, every group except the last is above half of one bound.
    """
    group: list[SmallPart] = []
    size = entries = 0
    for part in parts:
        size, entries = size + len(part.content), entries + part.entries
        if group and (size > max_bytes or entries > max_entries):
            yield group
            group, size, entries = [], len(part.content), part.entries
        group.append(part)
    if group:
        yield group


def merge_parts(group: Sequence[SmallPart], run_id: str) -> MergedPart:
    """Merge all rows and failures of a group, in its order, into one part of the compaction `run_id`.

    Raises:
        JobError: A part has other columns than the first.
    """
    origins = tuple(origin for part in group for origin in part.footer.origins_of(part.annotated))
    merged = [part.path for part in group if part.path.startswith(f"{MERGED_FOLDER}/")]
    footer = PartFooter(
        run_id,
        stable_hash(*(origin.key for origin in origins)),
        "",
        tuple(failure for part in group for failure in part.footer.failures),
        origins,
        tuple(dict.fromkeys([*merged, *(path for part in group for path in part.footer.merged)])),
    )
    # In order of names, a merged part comes after all parts that it replaces.
    generation = 1 + max((_generation(path) for path in merged), default=0)
    path = f"{MERGED_FOLDER}/{generation:06d}-{footer.key}.parquet"
    return MergedPart(path, _encoded(group, footer), tuple(part.path for part in group))


def _generation(path: str) -> int:
    return int(path.rsplit("/", 1)[1].partition("-")[0])


def _encoded(group: Sequence[SmallPart], footer: PartFooter) -> bytes:
    schema = pq.read_schema(pa.BufferReader(group[0].content)).remove_metadata()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in _row_groups(group, schema):
            writer.write_table(table, row_group_size=table.num_rows)
        writer.add_key_value_metadata(footer.encoded())
    return bytes(sink.getvalue())


def _row_groups(group: Sequence[SmallPart], schema: pa.Schema) -> Iterator[pa.Table]:
    pending: list[pa.Table] = []
    pending_bytes = 0
    for part in group:
        with part_errors(part.path):
            table = pq.ParquetFile(pa.BufferReader(part.content)).read().replace_schema_metadata(None)
        if not table.schema.equals(schema):
            raise JobError(f"{part.path} has other columns than {group[0].path}; they cannot be merged")
        if table.num_rows:
            pending.append(table)
            pending_bytes += table.nbytes
        if pending_bytes >= ROW_GROUP_BYTES:
            yield pa.concat_tables(pending)
            pending, pending_bytes = [], 0
    if pending:
        yield pa.concat_tables(pending)
