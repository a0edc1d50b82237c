"""`earmark evaluate`: the answers of an output beside their references."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import duckdb
import numpy as np

from schemas.errors import JobError
from schemas.manifest import ManifestShape
from scoring.alignment import aligned
from scoring.answers import AnsweredTask, Output, load_answers, named, open_database, open_output, quoted
from scoring.breakdown import Breakdown, GroupedBy, grouped_by
from scoring.intervals import Interval, intervals
from scoring.labels import LabelMatches
from scoring.normalizers import Normalizer, find_normalizer, normalizer_for
from scoring.pairs import Figure, Kind, Measure, Pair
from scoring.references import ReferenceColumn, find_column, load_references, own_references
from scoring.scores import Evaluation, Group, Ids, TaskScores, WorstRow
from scoring.text_overlap import TextOverlap
from scoring.word_errors import WordErrors

ROWS_AT_ONCE = 4096
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_IDS = 5  # of rows that are left out, named as examples


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What `earmark evaluate` can be told.

    Attributes:
        task: names; none for every task that has references.
        references: a file that has them; "" for the output's own columns.
        reference_column: COLUMN, or TASK=COLUMN for one task.
        shape: how the rows of the file of references are to be read.
        normalizer: of transcripts; "" to choose by the language of each.
        language: of the references of all rows; "" to go by what the file of references, the job or the answer says.
        score_as: a Kind for all tasks; "" to go by the task.
        by: columns that figures are broken down by.
        worst: how many of the worst rows are shown.
        bootstrap: resamples of the intervals; 0 for none.
    """

    task: tuple[str, ...] = ()
    references: str = ""
    reference_column: tuple[str, ...] = ()
    shape: ManifestShape = field(default_factory=ManifestShape)
    normalizer: str = ""
    language: str = ""
    score_as: str = ""
    by: tuple[str, ...] = ()
    worst: int = 0
    bootstrap: int = 1000
    seed: int = 0

    def check(self) -> None:
        """Raises JobError with the value and the remedy for the first option that makes no sense."""
        if self.normalizer:
            find_normalizer(self.normalizer)
        if self.score_as and self.score_as not in KINDS:
            raise JobError(f"--score_as={self.score_as} does not work: choose from {', '.join(KINDS)}")
        for name in ("worst", "bootstrap", "seed"):
            if getattr(self, name) < 0:
                raise JobError(f"--{name}={getattr(self, name)} does not work: give 0 or more")


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
        notes = load_given(database, options, "answers")
        columns = {task: find_column(database, task, output.tasks, options.reference_column) for task in tasks}
        skipped = {task.name: column.problem for task, column in columns.items() if column.problem}
        _check_something_is_left(output, options, skipped, [task.name for task in tasks])
        scores = [
            _score(database, output, task, column, options) for task, column in columns.items() if not column.problem
        ]
    return Evaluation(output.store.root, options.bootstrap, options.seed, tuple(scores), skipped, notes)


def load_given(database: duckdb.DuckDBPyConnection, options: EvaluateOptions, answers: str) -> tuple[str, ...]:
    """Makes `given`, the references; returns what is worth knowing of them."""
    if not options.references:
        own_references(database, answers)
        return ()
    found = load_references(database, options.references, options.shape)
    notes = []
    if found.broken:
        notes.append(f"{len(found.broken)} rows of {options.references} cannot be read, such as {found.broken[0]}")
    if found.doubled:
        notes.append(f"of several rows of one id the first counts: {named(found.doubled)}")
    return tuple(notes)


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


def measure_for(kind: Kind, normalizer: Normalizer | None, language: str) -> WordErrors | TextOverlap | LabelMatches:
    """The measure of a kind of answer.

    Args:
        normalizer: of transcripts; None to choose by the language of each.
        language: that texts are in.
    """
    if kind == "transcript":
        return WordErrors(normalizer)
    return LabelMatches() if kind == "label" else TextOverlap(language)


def _score(
    database: duckdb.DuckDBPyConnection,
    output: Output,
    task: AnsweredTask,
    column: ReferenceColumn,
    options: EvaluateOptions,
) -> TaskScores:
    kind: Kind = options.score_as or task.kind  # type: ignore[assignment]  # check() has seen that it is one
    language = language_expression(task, output, options)
    by = [grouped_by(name, language) for name in options.by]
    _make_pairs(database, task, kind, column, language, by)
    normalizer = find_normalizer(options.normalizer) if options.normalizer else None
    text_language = options.language or task.target_language or "en"  # texts are answered in English by default
    measure = measure_for(kind, normalizer, text_language)
    breakdown, failed = Breakdown(by), []
    worst: list[tuple[float, Pair]] = []
    for rows in _batches(database):
        pairs = [Pair(*row[: len(Pair.__slots__)]) for row in rows]
        bad = measure.add(pairs)
        breakdown.add([row[len(Pair.__slots__) :] for row in rows])
        failed += [pair.failed for pair in pairs]
        worst = _worst(worst, bad, pairs, options.worst)
    answered = 1.0 - np.array(failed, np.float64)
    return TaskScores(
        task=task.name,
        kind=kind,
        model=task.model,
        reference_column=column.column,
        rows=len(failed),
        failed=sum(failed),
        figures=figures_of(measure, answered, options.bootstrap, options.seed),
        groups=tuple(
            Group(column, name, int(weights.sum()), _finite(measure.figures(weights)))
            for column, name, weights in breakdown.groups()
        ),
        worst=tuple(_shown(badness, pair, kind, normalizer) for badness, pair in worst),
        **_left_out(database, column),
        **_details(database, measure, task),
    )


def language_expression(task: AnsweredTask, output: Output, options: EvaluateOptions) -> str:
    """The language of a row's reference in SQL, over a row of answers `r` and a row of references `g`."""
    if options.language or output.language:
        known = quoted(options.language or output.language)
        return known if options.language else f"coalesce(g.language, {known})"
    answered = f"r.{task.name}.language" if task.answer == "transcript" and not task.target_language else "NULL"
    return f"coalesce(g.language, {answered}, '')"


def _make_pairs(
    database: duckdb.DuckDBPyConnection,
    task: AnsweredTask,
    kind: Kind,
    column: ReferenceColumn,
    language: str,
    by: Sequence[GroupedBy],
) -> None:
    """Makes `pairs`: the fields of a Pair, then a column for each of `by`."""
    score = f"r.{task.name}.score" if task.answer == "label" else "NULL"
    grouped = "".join(f", {one.expression} AS by_{number}" for number, one in enumerate(by))
    answer = f"coalesce(r.{task.name}.{task.answer_field}, '')"
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
    if kind == "label":  # an empty cell of a table is no label
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


def figures_of(measure: Measure, answered: np.ndarray, resamples: int, seed: int) -> tuple[Figure, ...]:
    """All figures of a measure.

    Args:
        answered: 1.0 for each row with an answer, 0.0 for one that failed.
    """
    values = _finite(measure.figures(np.ones(len(answered))))
    without = _finite(measure.figures(answered))
    found = intervals(measure.figures, len(answered), resamples, seed)
    return tuple(_figure(name, value, found.get(name), without[name]) for name, value in values.items())


def _figure(name: str, value: float | None, interval: Interval | None, without_failures: float | None) -> Figure:
    low, high = interval or (None, None)
    return Figure(name, value, low, high, without_failures)


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in figures.items()}


def _left_out(database: duckdb.DuckDBPyConnection, column: ReferenceColumn) -> dict[str, Any]:
    """Recordings that no figure knows of, by what they lack."""
    unknown = database.execute("SELECT count(*) FROM pairs WHERE failed AND reference IS NULL").fetchall()[0][0]
    not_there = f"SELECT id FROM given AS g ANTI JOIN pairs USING (id) WHERE {column.expression} IS NOT NULL"
    return {
        "failed_without_reference": unknown,
        "missing": _ids(database, "SELECT id FROM pairs WHERE NOT failed AND reference IS NULL"),
        "unanswered": _ids(database, not_there),
    }


def _ids(database: duckdb.DuckDBPyConnection, query: str) -> Ids:
    (count,) = database.execute(f"SELECT count(*) FROM ({query})").fetchall()[0]
    first = database.execute(f"{query} ORDER BY id LIMIT {MAX_IDS}").fetchall()
    return Ids(count, tuple(id for (id,) in first))


def _details(
    database: duckdb.DuckDBPyConnection, measure: WordErrors | TextOverlap | LabelMatches, task: AnsweredTask
) -> dict[str, Any]:
    """What only one kind of answer has."""
    if isinstance(measure, WordErrors):
        empty = measure.empty_references
        words, characters = measure.edits(np.ones(len(empty)))
        return {
            "empty_references": int(empty.sum()),
            "insertions_in_empty": measure.edits(empty.astype(np.float64))[0].insertions,
            "normalizers": dict(measure.normalizers),
            "words": words,
            "characters": characters,
        }
    if isinstance(measure, TextOverlap):
        (empty_texts,) = database.execute("SELECT count(*) FROM pairs WHERE trim(reference) = ''").fetchall()[0]
        return {"signatures": measure.signatures, "empty_references": empty_texts}
    labels = ", ".join(map(quoted, task.labels)) or "NULL"
    strange = f"SELECT id FROM pairs WHERE reference IS NOT NULL AND trim(reference) NOT IN ({labels})"
    unknown = _ids(database, strange) if task.labels else Ids(0, ())
    return {"unknown_labels": unknown, "confusion": measure.confusion(), "calibration": measure.calibration()}


def _shown(badness: float, pair: Pair, kind: Kind, normalizer: Normalizer | None) -> WorstRow:
    lines: list[tuple[str, str]] = []
    if kind == "transcript":
        by = normalizer or normalizer_for(pair.language)
        lines = aligned(by.words(pair.reference), by.words(pair.hypothesis))
    return WorstRow(pair.id, badness, pair.failed, pair.reference, pair.hypothesis, tuple(lines))
