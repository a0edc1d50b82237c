"""Totals over the parts of an output. Each part is read once: its counts are stored in the output."""

import collections
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earmark.transforms.output.store import REQUESTS, OutputStore, encode_table

STORED_PATH = "_earmark/part-figures.parquet"  # may be removed at any time
SCHEMA = pa.schema([("path", pa.string()), ("rows", pa.int64()), ("audio_s", pa.float64()), ("languages", pa.string())])


@dataclass(frozen=True, slots=True)
class PartFigures:
    """Counts of one part.

    Attributes:
        rows: Number of annotations.
        audio_s: Duration of their audio.
        languages: Pairs of language code and number of annotations.
    """

    path: str
    rows: int
    audio_s: float
    languages: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over all parts; `languages`: pairs of language code and number of annotations, most frequent first."""

    parts: int
    rows: int
    audio_s: float
    languages: tuple[tuple[str, int], ...]


def count_parts(store: OutputStore, paths: Sequence[str], language_column: str) -> Totals:
    """Totals of the parts at `paths`; parts that an earlier call has counted are not read again.

    Args:
        language_column: Column such as "transcribe.language"; "" where no task detects the language.

    Raises:
        OSError: The output cannot be read or written.
    """
    by_path = {figures.path: figures for figures in _stored(store)}
    new = [path for path in paths if path not in by_path]
    if new:
        with ThreadPoolExecutor(REQUESTS) as threads:
            by_path |= {figures.path: figures for figures in threads.map(_counter(store, language_column), new)}
        store.replace(STORED_PATH, encode_table(_table(by_path[path] for path in paths)))
    parts = [by_path[path] for path in paths]
    languages: collections.Counter[str] = collections.Counter()
    for figures in parts:
        languages.update(dict(figures.languages))
    rows, audio_s = sum(figures.rows for figures in parts), sum(figures.audio_s for figures in parts)
    return Totals(len(parts), rows, audio_s, tuple(languages.most_common()))


def _counter(store: OutputStore, language_column: str) -> Callable[[str], PartFigures]:
    columns = ["audio.duration_s", *([language_column] if language_column else [])]

    def count(path: str) -> PartFigures:
        table, _ = store.read_columns(path, columns)
        flat = table.flatten()
        audio_s = pc.sum(flat.column("audio.duration_s")).as_py() or 0.0
        languages: list[tuple[str, int]] = []
        if language_column:
            counts = pc.value_counts(flat.column(language_column).combine_chunks().drop_null()).to_pylist()
            languages = sorted((entry["values"], entry["counts"]) for entry in counts)
        return PartFigures(path, table.num_rows, audio_s, tuple(languages))

    return count


def _stored(store: OutputStore) -> list[PartFigures]:
    """The counts of earlier calls; empty where the file is missing, damaged or of another version."""
    try:
        table = pq.read_table(pa.BufferReader(store.read(STORED_PATH)))
        if table.schema.remove_metadata() != SCHEMA:
            return []
        return [
            PartFigures(
                row["path"], row["rows"], row["audio_s"], tuple((n, c) for n, c in json.loads(row["languages"]))
            )
            for row in table.to_pylist()
        ]
    except (FileNotFoundError, pa.ArrowInvalid, ValueError):
        return []


def _table(figures: Iterable[PartFigures]) -> pa.Table:
    rows = [
        {"path": part.path, "rows": part.rows, "audio_s": part.audio_s, "languages": json.dumps(part.languages)}
        for part in figures
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
