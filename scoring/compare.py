"""`earmark compare`: several outputs on the same recordings, against references and against each other."""

import functools
import heapq
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import duckdb
import numpy as np

from earmark.schemas.errors import JobError
from earmark.schemas.text import counted
from earmark.scoring.answers import AnsweredTask, Output, ids_of, load_answers, open_database, open_output
from earmark.scoring.comparison import Agreement, Comparison, Difference, DifferentRow, System
from earmark.scoring.evaluate import measure_options
from earmark.scoring.figures import figures_of, finite
from earmark.scoring.ids import Ids
from earmark.scoring.intervals import intervals
from earmark.scoring.keep import KeepOptions, keep
from earmark.scoring.measures import MEASURES
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.pairs import Figure, Measure, Pair
from earmark.scoring.references import ReferenceColumn, find_column, language_expression, load_reference_table

ROWS_AT_ONCE = 4096
LETTERS = string.ascii_uppercase


def compare(
    output_urls: Sequence[str], options: EvaluateOptions, keep_options: KeepOptions | None = None
) -> Comparison:
    """Compare outputs, the first of which is A.

    Raises:
        JobError: An option is invalid, an output cannot be read, the outputs have no task or no recording in common, or
            the expression of --keep cannot be computed.
    """
    options.check()
    if not 2 <= len(output_urls) <= len(LETTERS):
        raise JobError(f"{counted(len(output_urls), 'output')} given; name 2 to {len(LETTERS)}")
    if keep_options:
        keep_options.check()
    outputs = [open_output(url) for url in output_urls]
    tasks = _common_task(outputs, options.task)
    letters = LETTERS[: len(outputs)]
    with open_database() as database:
        for letter, output, task in zip(letters, outputs, tasks, strict=True):
            load_answers(database, output, [task], f"answers_{letter}")
        notes = load_reference_table(database, options, [f"answers_{letter}" for letter in letters])
        column = find_column(database, tasks[0], outputs[0].tasks, options.reference_column)
        if column.problem and options.reference_column:
            raise JobError(f"there are no references of {tasks[0].name}: {column.problem}; name another column or file")
        language = language_expression(tasks[0], outputs[0], options, "A")
        name = options.score_as or tasks[0].measure
        new_measure = functools.partial(MEASURES[name], measure_options(options, tasks[0]))
        _join(database, letters, tasks, column, language, new_measure().accepts_blank_references)
        measures = _SystemMeasures(letters, new_measure, options)
        for rows in _batches(database, letters):
            measures.add(rows)
        if not measures.rows:
            raise JobError(f"{' and '.join(output_urls)} have no recording in common; they are compared by id")
        systems = tuple(
            System(letter, output.store.root, task.model, *_coverage(database, letter), figures)
            for letter, output, task, figures in zip(letters, outputs, tasks, measures.figures(), strict=True)
        )
        return Comparison(
            task=tasks[0].name,
            kind=name,
            rows=measures.rows,
            with_reference=measures.with_reference,
            no_references=column.problem,
            systems=systems,
            differences=tuple(measures.differences()),
            agreements=tuple(measures.agreements()),
            different=tuple(measures.different),
            notes=notes,
            bootstrap=options.bootstrap,
            seed=options.seed,
            kept=keep(database, keep_options, options) if keep_options else None,
        )


def _common_task(outputs: Sequence[Output], chosen: Sequence[str]) -> list[AnsweredTask]:
    """The task to compare, as each output describes it."""
    if len(chosen) > 1:
        raise JobError(f"--task={','.join(chosen)} does not work: outputs are compared by one task")
    names = [[task.name for task in output.tasks] for output in outputs]
    common = [name for name in names[0] if all(name in own for own in names[1:])]
    if not chosen and len(common) != 1:
        several = ", ".join(common)
        raise JobError(
            f"the outputs have several tasks in common: name one of {several} with --task"
            if common
            else "the outputs have no task in common: " + "; ".join(", ".join(own) or "none" for own in names)
        )
    tasks = [output.task(chosen[0] if chosen else common[0]) for output in outputs]
    if len({task.answer for task in tasks}) > 1:
        raise JobError(
            f"{tasks[0].name} is {' and '.join(task.answer for task in tasks)}: its answers cannot be compared"
        )
    return tasks


def _join(
    database: duckdb.DuckDBPyConnection,
    letters: str,
    tasks: Sequence[AnsweredTask],
    column: ReferenceColumn,
    language: str,
    accepts_blank_references: bool,
) -> None:
    """Create the tables `joined`, of the recordings in all outputs, and `known_<letter>`, of those in each output.

    `joined` has for each system A its answer A (NULL where it failed), A_failed, A_avg_logprob and A_score of labels or
    A_flags of texts; then id, uri, offset_s, channel, reference, language, duration_s, audio and extra.
    """
    for letter in letters:
        database.execute(
            f"CREATE TABLE known_{letter} AS SELECT *, false AS failed FROM answers_{letter}"
            f" UNION ALL BY NAME SELECT id, uri, true AS failed FROM answers_{letter}_failures"
        )
    fields = ""
    for letter, task in zip(letters, tasks, strict=True):
        text, *others = task.answer_kind.short_fields
        fields += f', {letter}.{task.name}.{text} AS "{letter}", {letter}.failed AS {letter}_failed'
        compared = [field for field in others if field != "language"]  # which is a column of its own
        fields += "".join(f", {letter}.{task.name}.{field} AS {letter}_{field}" for field in compared)
    of_all = "".join(f" JOIN known_{letter} AS {letter} USING (id)" for letter in letters[1:])
    first = "coalesce(" + ", ".join(f"{letter}.{{}}" for letter in letters) + ")"
    reference = "NULL::VARCHAR" if column.problem else column.expression
    database.execute(
        f"""
        CREATE TABLE joined AS
        SELECT id, A.uri, {reference} AS reference, coalesce({language}, '') AS language,
            {first.replace("{}", "audio")}.duration_s AS duration_s, {first.replace("{}", "audio")} AS audio,
            {first.replace("{}", "extra")} AS extra, A.offset_s, A.channel{fields}
        FROM known_A AS A{of_all} LEFT JOIN given AS g USING (id)
        """
    )
    if not accepts_blank_references:
        database.execute("UPDATE joined SET reference = NULL WHERE trim(reference) = ''")


def _batches(database: duckdb.DuckDBPyConnection, letters: str) -> Iterator[list[tuple[Any, ...]]]:
    """Rows by id: id, reference, language, then answer, failed and score of each system."""
    columns = {name for name, *_ in database.execute("DESCRIBE joined").fetchall()}
    fields = "".join(
        f', "{letter}", {letter}_failed, {f"{letter}_score" if f"{letter}_score" in columns else "NULL"}'
        for letter in letters
    )
    rows_by_id = database.execute(f"SELECT id, reference, language{fields} FROM joined ORDER BY id")
    while rows := rows_by_id.fetchmany(ROWS_AT_ONCE):
        yield rows


def _coverage(database: duckdb.DuckDBPyConnection, letter: str) -> tuple[int, int, Ids]:
    """Number of recordings in an output, number of its failures, and recordings of other outputs that it lacks."""
    rows, failed = database.execute(f"SELECT count(*), count_if(failed) FROM known_{letter}").fetchall()[0]
    tables = [name for (name,) in database.execute("SHOW TABLES").fetchall() if name.startswith("known_")]
    all_ids = " UNION ".join(f"SELECT id FROM {name}" for name in tables)
    return rows, failed, ids_of(database, f"SELECT id FROM ({all_ids}) ANTI JOIN known_{letter} USING (id)")


class _SystemMeasures:
    """Measures of every system against the references, and of every pair of systems."""

    def __init__(self, letters: str, new_measure: Callable[[], Measure], options: EvaluateOptions):
        self._letters, self._options = letters, options
        self._measures = {letter: new_measure() for letter in letters}
        self._pairs = {pair: new_measure() for pair in combinations(letters, 2)}
        self._both = dict.fromkeys(self._pairs, 0)
        self._differing = dict.fromkeys(self._pairs, 0)
        self._answered: dict[str, list[float]] = {letter: [] for letter in letters}
        self.rows = self.with_reference = 0
        self.different: list[DifferentRow] = []

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.rows += len(rows)
        with_reference = [row for row in rows if row[1] is not None]
        self.with_reference += len(with_reference)
        for number, letter in enumerate(self._letters):
            pairs = [_pair(row, number, row[1]) for row in with_reference]
            self._measures[letter].add(pairs)
            self._answered[letter] += [float(not pair.failed) for pair in pairs]
        badness = [0.0] * len(rows)
        for first, second in self._pairs:
            self._add_pair(first, second, rows, badness)
        differing = [self._different(row, bad) for row, bad in zip(rows, badness, strict=True) if bad > 0]
        count = self._options.worst
        self.different = heapq.nlargest(count, [*self.different, *differing], key=lambda row: row.badness)

    def _add_pair(self, first: str, second: str, rows: Sequence[tuple[Any, ...]], badness: list[float]) -> None:
        """Count rows of two systems, and raise `badness` where the two differ most."""
        a, b = self._letters.index(first), self._letters.index(second)
        both = [number for number, row in enumerate(rows) if not _failed(row, a) and not _failed(row, b)]
        pairs = [_pair(rows[number], b, _answer(rows[number], a) or "") for number in both]
        self._both[first, second] += len(both)
        for number, bad in zip(both, self._pairs[first, second].add(pairs), strict=True):
            self._differing[first, second] += bad > 0
            badness[number] = max(badness[number], bad)

    def _different(self, row: tuple[Any, ...], badness: float) -> DifferentRow:
        answers = {letter: _answer(row, number) for number, letter in enumerate(self._letters)}
        return DifferentRow(row[0], badness, row[1], answers)

    def figures(self) -> Iterator[tuple[Figure, ...]]:
        """Figures of each system; empty without references."""
        for letter in self._letters:
            answered = np.array(self._answered[letter])
            options = self._options
            measure = self._measures[letter]
            yield figures_of(measure, answered, options.bootstrap, options.seed) if self.with_reference else ()

    def differences(self) -> Iterator[Difference]:
        for first, second in self._pairs if self.with_reference else ():
            a, b = self._measures[first], self._measures[second]

            def difference(weights: np.ndarray, a: Measure = a, b: Measure = b) -> Mapping[str, float]:
                of_first = a.figures(weights)
                return {name: value - of_first[name] for name, value in b.figures(weights).items()}

            rows = self.with_reference
            by_name = intervals(difference, rows, self._options.bootstrap, self._options.seed)
            for name, value in finite(difference(np.ones(rows))).items():
                low, high = by_name.get(name) or (None, None)
                yield Difference(first, second, name, value, low, high)

    def agreements(self) -> Iterator[Agreement]:
        for (first, second), measure in self._pairs.items():
            rows = self._both[first, second]
            figures = finite(measure.agreement()) if rows else {}
            yield Agreement(first, second, rows, self._differing[first, second], figures)


def _pair(row: tuple[Any, ...], number: int, reference: str) -> Pair:
    answer, failed, score = row[3 + 3 * number : 6 + 3 * number]
    return Pair(row[0], reference, answer or "", row[2], failed, score)


def _answer(row: tuple[Any, ...], number: int) -> str | None:
    answer: str | None = row[3 + 3 * number]
    return answer


def _failed(row: tuple[Any, ...], number: int) -> bool:
    return bool(row[4 + 3 * number])
