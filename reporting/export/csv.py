"""Annotations as CSV (RFC 4180, UTF-8): a column for each value, JSON where a value is a list or a map.

Spreadsheets evaluate text that begins like a formula, so an apostrophe is put before it (OWASP, "CSV Injection").
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from earmark.reporting.export.job import ExportJob
from earmark.reporting.export.rows import Counts, Row, extra_of, finite
from earmark.schemas.fixed_columns import FIXED_COLUMNS

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # also in full width


def write(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> None:
    job.target.write_lines(_lines(job, tables, counts))


def _lines(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> Iterator[str]:
    """The header, and a record for each row; `extra` is the last column."""
    names = {*FIXED_COLUMNS, *(task.name for task in job.tasks)} - {"extra"}
    paths = [path for field in job.schema if field.name in names for path in _paths(field)]
    yield _record([*(".".join(path) for path in paths), "extra"])
    for table in tables:
        for row in table.to_pylist():
            counts.add_written(row)
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
