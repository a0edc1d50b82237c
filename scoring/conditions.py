"""A user's condition: one DuckDB SQL expression over the rows of a table.

The expression can read that table and nothing else: no file, no network, no setting (scoring/answers.py:
open_database).
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
    """`option`: Flag of the expression, for messages, such as "--keep"."""

    option: str
    expression: str

    def judge(self, rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The rows with another column, PASSES: true, false, or NULL where the condition is NULL.

        Raises:
            JobError: The expression is invalid or not boolean. Its values are computed later: wrap that in `errors()`.
        """
        with self.errors():
            judged = rows.project(duckdb.StarExpression(), duckdb.SQLExpression(self.expression).alias(PASSES))
            if judged.types[-1] != BOOLEAN:
                raise self.error(f"it is {judged.types[-1]}, not true or false")
            return judged

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn DuckDB's errors into JobErrors that name the condition."""
        try:
            yield
        except duckdb.Error as error:
            raise self.error((str(error).strip().splitlines() or [type(error).__name__])[0]) from error

    def check_rows(self, of: int, judged: int) -> None:
        """Raises JobError where the number of rows has changed from `of` to `judged`, as with unnest()."""
        if judged != of:
            raise self.error(f"it gives {counted(judged, 'value')} for {counted(of, 'row')}; write one value per row")

    def error(self, reason: str) -> JobError:
        return JobError(f"{self.option}={self.expression} does not work: {reason}")
