"""A condition that a user writes: one expression of DuckDB's SQL over the rows of a table.

It sees that table and nothing else: no file, no network, no setting (scoring/answers.py: open_database).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
from duckdb.sqltypes import BOOLEAN

from earmark.schemas.errors import JobError
from earmark.schemas.text import counted

PASSES = "passes_the_condition"


@dataclass(frozen=True, slots=True)
class Condition:
    """`option`: the flag that brought the expression, which messages name, such as "--keep"."""

    option: str
    expression: str

    def judge(self, rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The rows with a column PASSES more: true, false, or NULL where it cannot be told.

        Raises:
            JobError: the expression is none, or is neither true nor false. What it says of a row is computed later:
                under `errors()`.
        """
        with self.errors():
            judged = rows.project(duckdb.StarExpression(), duckdb.SQLExpression(self.expression).alias(PASSES))
            if judged.types[-1] != BOOLEAN:
                raise self.error(f"it is {judged.types[-1]}, not true or false")
            return judged

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns what DuckDB raises into the JobError that names the condition."""
        try:
            yield
        except duckdb.Error as error:
            raise self.error((str(error).strip().splitlines() or [type(error).__name__])[0]) from error

    def check_rows(self, of: int, judged: int) -> None:
        """Raises JobError where `of` rows have become another number, as unnest() makes of them."""
        if judged != of:
            raise self.error(
                f"it answers {counted(judged, 'time')} for {counted(of, 'row')}; write what is true or false once a row"
            )

    def error(self, reason: str) -> JobError:
        return JobError(f"{self.option}={self.expression} does not work: {reason}")
