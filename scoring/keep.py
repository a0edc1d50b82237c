"""`earmark compare --keep`: the manifest of the recordings that pass a condition over a row of the comparison."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
import fsspec

from earmark.schemas.errors import JobError
from earmark.scoring.comparison import KeptRows
from earmark.scoring.conditions import PASSES, Condition
from earmark.scoring.normalizers import Normalizer, find_normalizer, normalizer_for
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.word_errors import edits_of
from earmark.transforms.storage.file_system import stat_or_none, wrap_storage_errors

ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class KeepOptions:
    """`expression`: Condition on a row; `to`: Path or URL of the manifest to write, which must not exist yet."""

    expression: str
    to: str

    def check(self) -> None:
        """Raises JobError where `to` is missing or exists."""
        if not self.to:
            raise JobError(f"--keep={self.expression} does not work alone: name the manifest to write with --to")
        if not self.to.endswith(".jsonl"):
            raise JobError(f"--to={self.to} does not work: the manifest is JSONL, so name it .jsonl")
        try:
            with wrap_storage_errors():
                existing = stat_or_none(*fsspec.url_to_fs(self.to))
        except OSError as error:
            raise JobError(f"--to={self.to} cannot be reached: {error}") from error
        if existing is not None:
            raise JobError(f"--to={self.to} does not work: it exists already; choose another name, or remove it")


def keep(database: duckdb.DuckDBPyConnection, options: KeepOptions, evaluate_options: EvaluateOptions) -> KeptRows:
    """Write the manifest of the rows of `joined` that pass, ordered by id.

    A row has id, audio_filepath, text (the answer of A), the annotated part of the file, language and the other columns
    of the original manifest.

    Raises:
        JobError: The expression is invalid, cannot be computed or is not boolean, or the manifest cannot be written.
    """
    _add_functions(database, options, evaluate_options)
    condition = Condition("--keep", options.expression)
    judged = condition.judge(database.table("joined"))
    with condition.errors():
        judged.create("judged")
        database.execute(f'UPDATE judged SET {PASSES} = NULL WHERE "A" IS NULL')  # such a row would have no text
        counts = f"count(*), count_if({PASSES}), count_if({PASSES} IS NULL)"
        of, rows, unknown = database.execute(f"SELECT {counts} FROM judged").fetchall()[0]
        (joined,) = database.execute("SELECT count(*) FROM joined").fetchall()[0]
    condition.check_rows(joined, of)
    _write(database, options.to)
    return KeptRows(options.expression, options.to, rows, of, unknown)


def _add_functions(
    database: duckdb.DuckDBPyConnection, options: KeepOptions, evaluate_options: EvaluateOptions
) -> None:
    """Add wer(reference, hypothesis) and cer(…), and wer_in(reference, hypothesis, language) and cer_in(…)."""
    answered = database.execute('SELECT DISTINCT language FROM joined WHERE "A" IS NOT NULL ORDER BY 1')
    languages = [language for (language,) in answered.fetchall()]
    names = sorted({normalizer_for(language).name for language in languages})
    chosen = [evaluate_options.normalizer] if evaluate_options.normalizer else names
    if len(chosen) > 1 and re.search(r"\b[wc]er\s*\(", options.expression, re.IGNORECASE):
        raise JobError(
            f"--keep={options.expression} does not work: the rows' languages need several normalisers,"
            f" {', '.join(names)}; name one with --normalizer, or write wer_in(A, B, language)"
        )
    normalizer = find_normalizer(chosen[0] if chosen else "none")
    for name, rate in (("wer", _wer), ("cer", _cer)):
        database.create_function(name, _of_two(rate, normalizer), ["VARCHAR", "VARCHAR"], "DOUBLE")
        database.create_function(f"{name}_in", _of_three(rate), ["VARCHAR", "VARCHAR", "VARCHAR"], "DOUBLE")


Rate = Callable[[Normalizer, str, str], float]


def _of_two(rate: Rate, normalizer: Normalizer) -> Callable[[str, str], float]:
    return lambda reference, hypothesis: rate(normalizer, reference, hypothesis)


def _of_three(rate: Rate) -> Callable[[str, str, str], float]:
    return lambda reference, hypothesis, language: rate(normalizer_for(language), reference, hypothesis)


def _wer(by: Normalizer, reference: str, hypothesis: str) -> float:
    return _rate(by.words(reference), by.words(hypothesis))


def _cer(by: Normalizer, reference: str, hypothesis: str) -> float:
    return _rate(list(by.text(reference)), list(by.text(hypothesis)))


def _rate(reference: list[str], hypothesis: list[str]) -> float:
    """Errors per token of the reference; the number of errors where the reference is empty."""
    (edits,) = edits_of([reference], [hypothesis])
    return edits.errors / max(1, edits.reference_length)


def _write(database: duckdb.DuckDBPyConnection, to: str) -> None:
    names = ["id", "uri", "A", "language", "offset_s", "channel", "duration_s", "extra"]
    columns = ", ".join(f'"{name}"' for name in names)
    passing = database.execute(f"SELECT {columns} FROM judged WHERE {PASSES} ORDER BY id")
    try:
        with wrap_storage_errors(), fsspec.open(to, "w", encoding="utf-8") as file:
            while rows := passing.fetchmany(ROWS_AT_ONCE):
                lines = (_line(dict(zip(names, row, strict=True))) for row in rows)
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    except OSError as error:
        raise JobError(f"--to={to} cannot be written: {error}") from error


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a manifest, without unknown fields and without extra columns that have the name of a field."""
    fields = {
        "id": row["id"],
        "audio_filepath": row["uri"],
        "text": row["A"],
        "offset": row["offset_s"] or None,
        "duration": row["duration_s"],
        "channel": row["channel"],
        "language": row["language"] or None,
    }
    extra = {name: value for name, value in (row["extra"] or {}).items() if name not in fields}
    return {name: value for name, value in fields.items() if value is not None} | extra
