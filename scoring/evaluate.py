"""`earmark evaluate`: score the answers of an output against references."""

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
from earmark.scoring.references import ReferenceColumn, find_column, language_expression, load_reference_table
from earmark.scoring.scores import Evaluation, Group, TaskScores, WorstRow

ROWS_AT_ONCE = 4096


def evaluate(output_url: str, options: EvaluateOptions) -> Evaluation:
    """Score an output.

    Raises:
        JobError: An option is invalid, the output or the references cannot be read, or no answer has a reference.
    """
    options.check()
    output = open_output(output_url)
    tasks = [output.task(name) for name in options.task] or list(output.tasks)
    if not tasks:
        raise JobError(f"{output.store.root} has no answers that can be scored")
    with open_database() as database:
        load_answers(database, output, tasks, "answers")
        notes = load_reference_table(database, options, ["answers"])
        columns = {task: find_column(database, task, output.tasks, options.reference_column) for task in tasks}
        skipped = {task.name: column.problem for task, column in columns.items() if column.problem}
        _check_any_references(output, options, skipped, [task.name for task in tasks])
        scores = [
            _score(database, output, task, column, options) for task, column in columns.items() if not column.problem
        ]
    return Evaluation(output.store.root, options.bootstrap, options.seed, tuple(scores), skipped, notes)


def _check_any_references(
    output: Output, options: EvaluateOptions, skipped: Mapping[str, str], names: Sequence[str]
) -> None:
    """Raises JobError where a task of --task has no references, or none of all tasks has."""
    lacking = [name for name in options.task if name in skipped]
    if not lacking and len(skipped) < len(names):
        return
    name = (lacking or list(names))[0]
    source = options.references or f"the output {output.store.root}"
    raise JobError(
        f"there are no references of {name} in {source}: {skipped[name]}; name a file that has them with --references,"
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
    groups = [grouped_by(column, language) for column in options.by]
    _make_pairs(database, task, measure, column, language, groups)
    breakdown, failed = Breakdown(groups), []
    worst: list[tuple[float, Pair]] = []
    for rows in _batches(database):
        pairs = [Pair(*row[: len(Pair.__slots__)]) for row in rows]
        badness = measure.add(pairs)
        breakdown.add([row[len(Pair.__slots__) :] for row in rows])
        failed += [pair.failed for pair in pairs]
        worst = _worst(worst, badness, pairs, options.worst)
    if not failed:
        raise _no_common_ids(database, output, task, column, options)
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
        **_unscored(database, column),
        **measure.details(),
    )


def measure_options(options: EvaluateOptions, task: AnsweredTask) -> MeasureOptions:
    """The options of the task's measure."""
    normalizer = find_normalizer(options.normalizer) if options.normalizer else None
    language = options.language or task.target_language or "en"  # models answer in English by default
    return MeasureOptions(normalizer, language, task.labels)


def _no_common_ids(
    database: duckdb.DuckDBPyConnection,
    output: Output,
    task: AnsweredTask,
    column: ReferenceColumn,
    options: EvaluateOptions,
) -> JobError:
    unscored = _unscored(database, column)
    referenced, answered = (", ".join(unscored[name].first) for name in ("unanswered", "missing"))
    return JobError(
        f"{options.references} has references of {task.name} for {referenced}, but {output.store.root} has answers for"
        f" {answered or 'nothing'}: they are matched by id; name the column of the ids (--columns id=…)"
    )


def _make_pairs(
    database: duckdb.DuckDBPyConnection,
    task: AnsweredTask,
    measure: Measure,
    column: ReferenceColumn,
    language: str,
    groups: Sequence[GroupedBy],
) -> None:
    """Create the table `pairs`: the fields of a Pair, then a column for each of `groups`."""
    score = f"r.{task.name}.score" if "score" in task.answer_kind.short_fields else "NULL"
    grouped = "".join(f", {group.expression} AS by_{number}" for number, group in enumerate(groups))
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
    """Rows that have a reference, by id: the intervals do not depend on how the output is cut into parts."""
    pairs = database.execute("SELECT * FROM pairs WHERE reference IS NOT NULL ORDER BY id")
    while rows := pairs.fetchmany(ROWS_AT_ONCE):
        yield rows


def _worst(
    worst: list[tuple[float, Pair]], badness: Sequence[float], pairs: Sequence[Pair], count: int
) -> list[tuple[float, Pair]]:
    """The `count` worst of the pairs so far and the new ones; of equally bad pairs the earlier."""
    imperfect = [scored for scored in zip(badness, pairs, strict=True) if scored[0] > 0] if count else []
    return heapq.nlargest(count, [*worst, *imperfect], key=lambda scored: scored[0])


def _unscored(database: duckdb.DuckDBPyConnection, column: ReferenceColumn) -> dict[str, Any]:
    """Recordings that are not in the figures, by what they lack."""
    failed = database.execute("SELECT count(*) FROM pairs WHERE failed AND reference IS NULL").fetchall()[0][0]
    not_in_output = f"SELECT id FROM given AS g ANTI JOIN pairs USING (id) WHERE {column.expression} IS NOT NULL"
    return {
        "failed_without_reference": failed,
        "missing": ids_of(database, "SELECT id FROM pairs WHERE NOT failed AND reference IS NULL"),
        "unanswered": ids_of(database, not_in_output),
    }


def _worst_row(badness: float, pair: Pair, measure: Measure) -> WorstRow:
    reference_and_hypothesis = measure.words(pair)
    lines = aligned(*reference_and_hypothesis) if reference_and_hypothesis else []
    return WorstRow(pair.id, badness, pair.failed, pair.reference, pair.hypothesis, tuple(lines))
