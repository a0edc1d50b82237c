"""Annotations as CSV (RFC 4180, UTF-8): a column for each value, JSON where a value is a list or a map.

A spreadsheet computes what begins like a formula: a text that does has an apostrophe before it (OWASP,
"CSV Injection").
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from earmark.reporting.export.rows import Counts, Row, extra_of, finite
from earmark.schemas.job_description import AskedTask

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # also in full width


def csv_lines(
    tables: Iterable[pa.Table], schema: pa.Schema, tasks: Sequence[AskedTask], counts: Counts
) -> Iterator[str]:
    """The header, and a record for each row."""
    names = {task.name for task in tasks}
    answers = [field for field in schema if field.name in names]
    facts = [field for field in schema if field.name in ("id", "uri", "offset_s", "channel", "reference", "audio")]
    paths = [path for field in (*facts, *answers) for path in _paths(field)]
    yield _record([*(".".join(path) for path in paths), "extra"])
    for table in tables:
        for row in table.to_pylist():
            counts.written(row)
            extra = json.dumps(extra_of(row), ensure_ascii=False)
            yield _record([*(_cell(_value(row, path)) for path in paths), extra])


def _paths(field: pa.Field) -> list[tuple[str, ...]]:
    if not pa.types.is_struct(field.type):
        return [(field.name,)]
    return [(field.name, inner.name) for inner in field.type]


def _value(row: Row, path: tuple[str, ...]) -> Any:
    value: Any = row
    for name in path:
        value = None if value is None else value[name]
    return value


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    if isinstance(value, list):
        return json.dumps(finite(value), ensure_ascii=False)
    return finite(value)


def _record(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
