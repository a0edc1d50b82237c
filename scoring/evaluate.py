"""`earmark evaluate`: the answers of an output beside their references."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from earmark.schemas.errors import JobError
from earmark.scoring.alignment import aligned
from earmark.scoring.answers import AnsweredTask, Output, ids_of, load_answers, open_database, open_output
from earmark.scoring.breakdown import Breakdown, GroupedBy, grouped_by
from earmark.scoring.figures import figures_of, finite
from earmark.scoring.measures import MEASURES, MeasureOptions
from earmark.scoring.normalizers import find_normalizer
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.pairs import Measure, Pair
from earmark.scoring.references import ReferenceColumn, find_column, language_expression, load_given
from earmark.scoring.scores import Evaluation, Group, TaskScores, WorstRow

ROWS_AT_ONCE = 4096


def evaluate(place: str, options: EvaluateOptions) -> Evaluation:
    """Scores an output.

    Raises:
        JobError: an option makes no sense, the output or the references cannot be read, or nothing has a reference.
    """
    options.check()
    output = open_output(place)
    tasks = [output.task(name) for name in options.task] or list(output.tasks)
    if not tasks:
        raise JobError(f"{output.store.root} has no answers that can be scored")
    with open_database() as database:
        load_answers(database, output, tasks, "answers")
        notes = load_given(database, options, ["answers"])
        columns = {task: find_column(database, task, output.tasks, options.reference_column) for task in tasks}
        skipped = {task.name: column.problem for task, column in columns.items() if column.problem}
        _check_something_is_left(output, options, skipped, [task.name for task in tasks])
        scores = [
            _score(database, output, task, column, options) for task, column in columns.items() if not column.problem
        ]
    return Evaluation(output.store.root, options.bootstrap, options.seed, tuple(scores), skipped, notes)


def _check_something_is_left(
    output: Output, options: EvaluateOptions, skipped: Mapping[str, str], names: Sequence[str]
) -> None:
    wanted = [name for name in options.task if name in skipped]
    if not wanted and len(skipped) < len(names):
        return
    name = (wanted or list(names))[0]
    where = options.references or f"the output {output.store.root}"
    raise JobError(
        f"there are no references of {name} in {where}: {skipped[name]}; name a file that has them with --references,"
        " or their column with --reference_column"
    )


def _score(
    database: duckdb.DuckDBPyConnection,
    output: Output,
    task: AnsweredTask,
    column: ReferenceColumn,
    options: EvaluateOptions,
) -> TaskScores:
    name = options.score_as or task.measure
    measure = MEASURES[name](measure_options(options, task))
    language = language_expression(task, output, options)
    by = [grouped_by(name, language) for name in options.by]
    _make_pairs(database, task, measure, column, language, by)
    breakdown, failed = Breakdown(by), []
    worst: list[tuple[float, Pair]] = []
    for rows in _batches(database):
        pairs = [Pair(*row[: len(Pair.__slots__)]) for row in rows]
        bad = measure.add(pairs)
        breakdown.add([row[len(Pair.__slots__) :] for row in rows])
        failed += [pair.failed for pair in pairs]
        worst = _worst(worst, bad, pairs, options.worst)
    if not failed:
        raise _no_pairs(database, output, task, column, options)
    answered = 1.0 - np.array(failed, np.float64)
    return TaskScores(
        task=task.name,
        kind=name,
        model=task.model,
        reference_column=column.column,
        rows=len(failed),
        failed=sum(failed),
        figures=figures_of(measure, answered, options.bootstrap, options.seed),
        groups=tuple(
            Group(column, name, int(weights.sum()), finite(measure.figures(weights)))
            for column, name, weights in breakdown.groups()
        ),
        worst=tuple(_worst_row(badness, pair, measure) for badness, pair in worst),
        **_left_out(database, column),
        **measure.details(),
    )


def measure_options(options: EvaluateOptions, task: AnsweredTask) -> MeasureOptions:
    """What the options and the task decide of a measure."""
    normalizer = find_normalizer(options.normalizer) if options.normalizer else None
    language = options.language or task.target_language or "en"  # models answer in English by default
    return MeasureOptions(normalizer, language, task.labels)


def _no_pairs(
    database: duckdb.DuckDBPyConnection,
    output: Output,
    task: AnsweredTask,
    column: ReferenceColumn,
    options: EvaluateOptions,
) -> JobError:
    lacking = _left_out(database, column)
    ids = [", ".join(lacking[name].first) for name in ("unanswered", "missing")]
    return JobError(
        f"{options.references} has references of {task.name} for {ids[0]}, but {output.store.root} has answers for"
        f" {ids[1] or 'nothing'}: ids are what they are matched by; name the column that has them (--columns id=…)"
    )


def _make_pairs(
    database: duckdb.DuckDBPyConnection,
    task: AnsweredTask,
    measure: Measure,
    column: ReferenceColumn,
    language: str,
    by: Sequence[GroupedBy],
) -> None:
    """Makes `pairs`: the fields of a Pair, then a column for each of `by`."""
    score = f"r.{task.name}.score" if "score" in task.answer_kind.short_fields else "NULL"
    grouped = "".join(f", {one.expression} AS by_{number}" for number, one in enumerate(by))
    answer = f"coalesce(r.{task.name}.{task.answer_kind.text_field}, '')"
    database.execute(
        f"""
        CREATE OR REPLACE TABLE pairs AS
        SELECT r.id, {column.expression} AS reference, {answer} AS hypothesis, coalesce({language}, '') AS language,
            r.failed, {score}::DOUBLE AS score{grouped}
        FROM (
            SELECT *, false AS failed FROM answers UNION ALL BY NAME SELECT id, true AS failed FROM answers_failures
        ) AS r LEFT JOIN given AS g USING (id)
        """
    )
    if not measure.accepts_blank_references:
        database.execute("UPDATE pairs SET reference = NULL WHERE trim(reference) = ''")


def _batches(database: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[Any, ...]]]:
    """Rows that have a reference, in order of their ids: the same intervals however the output's parts are cut."""
    found = database.execute("SELECT * FROM pairs WHERE reference IS NOT NULL ORDER BY id")
    while rows := found.fetchmany(ROWS_AT_ONCE):
        yield rows


def _worst(
    worst: list[tuple[float, Pair]], bad: Sequence[float], pairs: Sequence[Pair], count: int
) -> list[tuple[float, Pair]]:
    """The worst of those so far and of some more; of equally bad ones those that came first."""
    more = [one for one in zip(bad, pairs, strict=True) if one[0] > 0] if count else []
    return heapq.nlargest(count, [*worst, *more], key=lambda one: one[0])


def _left_out(database: duckdb.DuckDBPyConnection, column: ReferenceColumn) -> dict[str, Any]:
    """Recordings that no figure knows of, by what they lack."""
    unknown = database.execute("SELECT count(*) FROM pairs WHERE failed AND reference IS NULL").fetchall()[0][0]
    not_there = f"SELECT id FROM given AS g ANTI JOIN pairs USING (id) WHERE {column.expression} IS NOT NULL"
    return {
        "failed_without_reference": unknown,
        "missing": ids_of(database, "SELECT id FROM pairs WHERE NOT failed AND reference IS NULL"),
        "unanswered": ids_of(database, not_there),
    }


def _worst_row(badness: float, pair: Pair, measure: Measure) -> WorstRow:
    words = measure.words(pair)
    lines = aligned(*words) if words else []
    return WorstRow(pair.id, badness, pair.failed, pair.reference, pair.hypothesis, tuple(lines))
