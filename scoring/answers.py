"""The answers and failures of an output, as tables of a database in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from earmark.schemas.answers.kind import AnswerKind
from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.errors import JobError
from earmark.schemas.fixed_columns import FIXED_COLUMNS
from earmark.schemas.job_description import AskedTask
from earmark.schemas.records import Failure
from earmark.schemas.suggest import suggest
from earmark.schemas.tables import failures_table
from earmark.schemas.tasks import BUILT_IN
from earmark.schemas.text import join_some
from earmark.scoring.ids import MAX_NAMED, Ids
from earmark.transforms.output.job_file import read_job
from earmark.transforms.output.store import OutputStore

LABELS = {task.name: task.labels for task in BUILT_IN if task.labels}


@dataclass(frozen=True, slots=True)
class AnsweredTask:
    """A task of the job that made an output; fields as in Task, `model` as in AskedTask."""

    name: str
    answer: str
    labels: tuple[str, ...]
    target_language: str
    model: str

    @property
    def answer_kind(self) -> AnswerKind:
        return ANSWER_KINDS[self.answer]

    @property
    def measure(self) -> str:
        """Name of the measure of its answers: free text in answer to a label task is scored as labels."""
        kind = ANSWER_KINDS["label"] if self.name in LABELS else self.answer_kind
        return kind.measure(self.target_language)


@dataclass(frozen=True, slots=True)
class Output:
    """An output of `earmark annotate`.

    Attributes:
        language: Language of the recordings as the job names it, "" for none.
        tasks: Tasks whose answers can be scored.
    """

    store: OutputStore
    language: str
    tasks: tuple[AnsweredTask, ...]

    def task(self, name: str) -> AnsweredTask:
        """The task of a name. Raises JobError where the output has no answers to it."""
        for task in self.tasks:
            if task.name == name:
                return task
        names = [task.name for task in self.tasks]
        if not names:
            raise JobError(f"--task={name} does not work: {self.store.root} has no answers that can be scored")
        answered = f"has answers to {', '.join(names)}{suggest(name, names)}"
        raise JobError(f"--task={name} does not work: {self.store.root} {answered}")


def open_output(output_url: str) -> Output:
    """The output at a path or URL, with the tasks of its `_earmark/job.json`.

    Raises:
        JobError: There is no output of earmark, or its description is damaged.
    """
    store = OutputStore.at(output_url)
    try:
        job = read_job(store)
    except OSError as error:
        raise JobError(f"output {output_url} cannot be read: {error}") from error
    return Output(store, job.language, tuple(_task(task) for task in job.tasks if task.answer_kind.measures))


def _task(task: AskedTask) -> AnsweredTask:
    labels = task.labels or LABELS.get(task.name, ())
    return AnsweredTask(task.name, task.answer, labels, task.target_language, task.model)


def open_database() -> duckdb.DuckDBPyConnection:
    """A database in memory that no query can make read or write anything outside it."""
    database = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    database.execute("SET python_enable_replacements = false")
    database.execute("SET enable_progress_bar = false")  # it would mix with the output of a command, JSON too
    return database


def load_answers(database: duckdb.DuckDBPyConnection, output: Output, tasks: Sequence[AnsweredTask], name: str) -> None:
    """Create the tables `<name>`, of annotations, and `<name>_failures`, of recordings without one.

    Annotations have FIXED_COLUMNS and a struct for each task; failures have id, uri, error and message.

    Raises:
        JobError: The output cannot be read, has no parts, or has several annotations of one recording.
    """
    columns = [*FIXED_COLUMNS] + [f"{task.name}.{field}" for task in tasks for field in task.answer_kind.short_fields]
    failures: list[Failure] = []
    has_parts = False
    try:
        for path in output.store.parts():
            part, report = output.store.read_columns(path, columns)
            insert(database, name, part, create=not has_parts)
            has_parts = True
            failures += report.failures
        _insert_failures(database, output.store, failures, f"{name}_failures")
    except OSError as error:
        raise JobError(f"output {output.store.root} cannot be read: {error}") from error
    if not has_parts:
        raise JobError(f"{output.store.root} has no annotations")
    duplicates = database.execute(f"SELECT id FROM {name} GROUP BY id HAVING count(*) > 1 ORDER BY id").fetchall()
    if duplicates:
        raise JobError(
            f"{output.store.root} has several annotations of {join_some([id for (id,) in duplicates], MAX_NAMED)};"
            " annotate names the parts to remove"
        )
    # An annotation replaces a failure of another run.
    database.execute(f"DELETE FROM {name}_failures WHERE id IN (SELECT id FROM {name})")


def _insert_failures(
    database: duckdb.DuckDBPyConnection, store: OutputStore, failures: Sequence[Failure], name: str
) -> None:
    """Create the table of the failures in the parts' footers and of those of manifest rows, one row per recording."""
    insert(database, "all_failures", failures_table(failures), create=True)
    insert(database, "all_failures", store.read_failures())
    latest = "SELECT DISTINCT ON (id) id, uri, error, message FROM all_failures ORDER BY id, run_id DESC"
    database.execute(f"CREATE TABLE {name} AS {latest}; DROP TABLE all_failures")


def insert(database: duckdb.DuckDBPyConnection, name: str, table: pa.Table, create: bool = False) -> None:
    """Append rows to a table of the database."""
    database.register("arriving", table)
    database.execute(f"CREATE TABLE {name} AS FROM arriving" if create else f"INSERT INTO {name} BY NAME FROM arriving")
    database.unregister("arriving")


def ids_of(database: duckdb.DuckDBPyConnection, query: str) -> Ids:
    (count,) = database.execute(f"SELECT count(*) FROM ({query})").fetchall()[0]
    first = database.execute(f"{query} ORDER BY id LIMIT {MAX_NAMED}").fetchall()
    return Ids(count, tuple(id for (id,) in first))


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
