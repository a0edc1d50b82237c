"""What the parts of an output add up to, each part read once: what was counted is kept in the output."""

import collections
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earmark.transforms.output.store import REQUESTS, OutputStore, encode_table

KEPT_PATH = "_earmark/part-figures.parquet"  # may be removed at any time
SCHEMA = pa.schema([("path", pa.string()), ("rows", pa.int64()), ("audio_s", pa.float64()), ("languages", pa.string())])


@dataclass(frozen=True, slots=True)
class PartFigures:
    """Of one part: annotations, seconds of audio that they are about, and how many are in which language."""

    path: str
    rows: int
    audio_s: float
    languages: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all parts; `languages`: the most frequent first."""

    parts: int
    rows: int
    audio_s: float
    languages: tuple[tuple[str, int], ...]


def count_parts(store: OutputStore, paths: Sequence[str], language_column: str) -> Totals:
    """The totals of the parts at `paths`; those that an earlier call has counted are not read again.

    Args:
        language_column: such as "transcribe.language"; "" where no task tells a language.

    Raises:
        OSError: the output cannot be read or written.
    """
    known = {figures.path: figures for figures in _kept(store)}
    new = [path for path in paths if path not in known]
    if new:
        with ThreadPoolExecutor(REQUESTS) as threads:
            known |= {figures.path: figures for figures in threads.map(_counter(store, language_column), new)}
        store.replace(KEPT_PATH, encode_table(_table(known[path] for path in paths)))
    found = [known[path] for path in paths]
    languages: collections.Counter[str] = collections.Counter()
    for figures in found:
        languages.update(dict(figures.languages))
    rows, audio_s = sum(figures.rows for figures in found), sum(figures.audio_s for figures in found)
    return Totals(len(found), rows, audio_s, tuple(languages.most_common()))


def _counter(store: OutputStore, language_column: str) -> Callable[[str], PartFigures]:
    columns = ["audio.duration_s", *([language_column] if language_column else [])]

    def count(path: str) -> PartFigures:
        table, _ = store.read_columns(path, columns)
        flat = table.flatten()
        audio_s = pc.sum(flat.column("audio.duration_s")).as_py() or 0.0
        languages: list[tuple[str, int]] = []
        if language_column:
            counts = pc.value_counts(flat.column(language_column).combine_chunks().drop_null()).to_pylist()
            languages = sorted((one["values"], one["counts"]) for one in counts)
        return PartFigures(path, table.num_rows, audio_s, tuple(languages))

    return count


def _kept(store: OutputStore) -> list[PartFigures]:
    """What an earlier call has counted; nothing where it is not there or of another make."""
    try:
        table = pq.read_table(pa.BufferReader(store.read(KEPT_PATH)))
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
        {"path": one.path, "rows": one.rows, "audio_s": one.audio_s, "languages": json.dumps(one.languages)}
        for one in figures
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
