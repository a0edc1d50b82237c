"""The annotations of an output that pass a condition, in batches, and what several formats share."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from earmark.reporting.export.options import LeftOut
from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask
from earmark.schemas.locations import contained_name
from earmark.scoring.answers import open_database
from earmark.scoring.conditions import PASSES, Condition
from earmark.transforms.output.store import OutputStore

BATCH_ROWS = 1024
MAX_EXAMPLES = 10
Row = Mapping[str, Any]  # an annotation, as Arrow gives it to Python; `extra` is a Mapping


@dataclass(slots=True)
class Counts:
    """Counts of rows so far; fields as in Exported."""

    of: int = 0
    rows: int = 0
    unknown: int = 0
    in_containers: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    examples: list[LeftOut] = field(default_factory=list)

    def leave_out(self, row: Row, error: str, message: str) -> None:
        self.left_out[error] = self.left_out.get(error, 0) + 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(LeftOut(row["id"], row["uri"], error, message))

    def add_written(self, row: Row) -> None:
        self.rows += 1
        self.in_containers += contained_name(row["uri"]) is not None


def passing_tables(store: OutputStore, parts: Sequence[str], where: str, counts: Counts) -> Iterator[pa.Table]:
    """The rows of the parts for which `where` is true, in order, in tables of at most BATCH_ROWS.

    Raises:
        JobError: `where` is no condition or cannot be computed, or a part was removed meanwhile.
        OSError: The output cannot be read.
    """
    condition = Condition("--where", where) if where else None
    with open_database() as database:
        for path in parts:
            try:
                for table in store.batches(path, BATCH_ROWS):
                    counts.of += table.num_rows
                    passing = _filtered(database, table, condition, counts) if condition else table
                    if passing.num_rows:
                        yield passing
            except FileNotFoundError as error:
                raise JobError(f"{store.root}/{path} was removed meanwhile, as by compaction; start again") from error


def check_condition(schema: pa.Schema, where: str) -> None:
    """Raises JobError where `where` is not a condition over rows of the schema."""
    if where:
        with open_database() as database:
            _filtered(database, schema.empty_table(), Condition("--where", where), Counts())


def _filtered(database: duckdb.DuckDBPyConnection, table: pa.Table, condition: Condition, counts: Counts) -> pa.Table:
    judged = condition.judge(database.from_arrow(table))
    with condition.errors():
        passes = judged.select(PASSES).to_arrow_table().column(0).combine_chunks()
    condition.check_rows(table.num_rows, len(passes))
    counts.unknown += passes.null_count
    return table.filter(passes)


def text_task(tasks: Sequence[AskedTask]) -> AskedTask | None:
    """The task whose answer is the text of a recording: the first transcript, else the first answer in text."""
    for kind in ANSWER_KINDS.values():
        if kind.text_field == "text":
            for task in tasks:
                if task.answer == kind.name:
                    return task
    return None


def flat_answers(row: Row, tasks: Sequence[AskedTask]) -> dict[str, Any]:
    """The answers of a row under flat names: `caption`, `emotion`, `emotion_score`, `transcribe_flags`; no None."""
    flat: dict[str, Any] = {}
    for task in tasks:
        answer = row[task.name]
        kind = task.answer_kind
        if not kind.text_field or answer is None:
            flat[task.name] = answer
            continue
        flat[task.name] = answer[kind.text_field]
        flat |= {f"{task.name}_{name}": answer[name] for name in kind.short_fields if name != kind.text_field}
    return {name: finite(value) for name, value in flat.items() if value is not None}


def finite(value: Any) -> Any:
    """The value with None for NaN and infinity at any depth, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(element) for name, element in value.items()}
    return [finite(element) for element in value] if isinstance(value, list | tuple) else value


def extra_of(row: Row) -> dict[str, str]:
    """The other columns of the manifest."""
    return dict(row["extra"] or ())


def language_of(row: Row, task: AskedTask, job_language: str) -> str:
    """Language of a task's answer; "" for an unknown language."""
    answer = row[task.name] or {}
    return str(answer.get("language") or task.target_language or job_language or "")
