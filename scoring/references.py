"""References: from the output's own columns, or from a file such as the manifest."""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice

import duckdb
import pyarrow as pa

from earmark.schemas.errors import JobError
from earmark.schemas.manifest import ManifestRow, ManifestShape, parse_row
from earmark.schemas.records import Failure, Recording
from earmark.schemas.text import counted, join_some
from earmark.scoring.answers import AnsweredTask, Output, insert, quoted
from earmark.scoring.ids import MAX_NAMED
from earmark.scoring.options import EvaluateOptions
from earmark.transforms.manifests.files import manifest_rows, shape_for
from earmark.transforms.manifests.find import find_manifests

ROWS_AT_ONCE = 10_000
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("reference", pa.string()),
        ("language", pa.string()),
        ("extra", pa.map_(pa.string(), pa.string())),
        ("line", pa.int64()),
    ]
)
NO_AUDIO = "-"  # the `uri` of a row that has an id but names no audio


@dataclasses.dataclass(frozen=True, slots=True)
class ReferenceFile:
    """A file of references that has been read.

    Attributes:
        broken: Messages about rows that cannot be read.
        duplicate_ids: Ids with several rows, of which the first counts.
    """

    broken: tuple[str, ...]
    duplicate_ids: tuple[str, ...]


def load_references(
    database: duckdb.DuckDBPyConnection, references_url: str, shape: ManifestShape, name: str = "given"
) -> ReferenceFile:
    """Create the table `<name>` of SCHEMA from a manifest, or from a file with ids in a format of manifests.

    Rows without an id get it from their audio, as in annotate.

    Raises:
        JobError: The file cannot be read, or has no valid row.
    """
    broken: list[str] = []
    insert(database, f"{name}_rows", SCHEMA.empty_table(), create=True)
    rows = enumerate(row for manifest in find_manifests(references_url) for row in _read(manifest, shape))
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        broken += [row.message for _, row in batch if isinstance(row, Failure)]
        values = [_values(line, row) for line, row in batch if isinstance(row, Recording)]
        insert(database, f"{name}_rows", pa.Table.from_pylist(values, schema=SCHEMA))
    duplicates = database.execute(f"SELECT id FROM {name}_rows GROUP BY id HAVING count(*) > 1 ORDER BY id").fetchall()
    database.execute(
        f"CREATE TABLE {name} AS SELECT DISTINCT ON (id) * FROM {name}_rows ORDER BY id, line; DROP TABLE {name}_rows"
    )
    (row_count,) = database.execute(f"SELECT count(*) FROM {name}").fetchall()[0]
    if not row_count:
        reason = f": {broken[0]}" if broken else ""
        raise JobError(f"--references={references_url} has no row that can be read{reason}")
    return ReferenceFile(tuple(broken), tuple(id for (id,) in duplicates))


def _read(manifest: str, shape: ManifestShape) -> Iterator[Recording | Failure]:
    shape = shape_for(manifest, shape)
    for row in manifest_rows(manifest, shape, None):
        yield parse_row(_with_audio(row, shape), shape)


def _with_audio(row: ManifestRow, shape: ManifestShape) -> ManifestRow:
    """The row with NO_AUDIO where it has an id and names no audio."""
    used = shape.used(row.values)
    if row.uri or "audio" in used or row.values.get(used.get("id", ""), "") in ("", None):
        return row
    return dataclasses.replace(row, uri=NO_AUDIO)


def _values(line: int, row: Recording) -> dict[str, object]:
    values = {name: getattr(row, name) for name in SCHEMA.names if name not in ("line", "extra")}
    return values | {"line": line, "extra": list(row.extra)}


def own_references(database: duckdb.DuckDBPyConnection, answers: Sequence[str], name: str = "given") -> None:
    """Create `<name>` of the references in tables of annotations; of one id, the first table's counts."""
    references = " UNION ALL ".join(
        f"SELECT id, reference, NULL::VARCHAR AS language, extra, {line} AS line FROM {table}"
        for line, table in enumerate(answers)
    )
    one_each = f"SELECT DISTINCT ON (id) * FROM ({references}) ORDER BY id, line" if len(answers) > 1 else references
    database.execute(f"CREATE {'TABLE' if len(answers) > 1 else 'VIEW'} {name} AS {one_each}")


@dataclasses.dataclass(frozen=True, slots=True)
class ReferenceColumn:
    """The column of a task's references, by its name for people; `problem` ends a sentence about missing ones."""

    column: str
    expression: str  # of SQL, over a row of the table of references, g
    problem: str = ""


def find_column(
    database: duckdb.DuckDBPyConnection,
    task: AnsweredTask,
    tasks: Sequence[AnsweredTask],
    chosen: Sequence[str],
    name: str = "given",
) -> ReferenceColumn:
    """The column of a task's references: the chosen one, else the one with the task's name, else `reference`.

    `reference` belongs to a label task if it holds one of the task's labels. Else it belongs to the output's first
    transcript, or to its only text.

    Args:
        tasks: All tasks of the output.
        chosen: COLUMN for every task, TASK=COLUMN for one.

    Raises:
        JobError: `chosen` names a task that the output does not have.
    """
    pairs = [entry.rpartition("=") for entry in chosen]
    of_task = {task: column for task, _, column in pairs}
    names = [answered.name for answered in tasks]
    for entry, (of, _, _) in zip(chosen, pairs, strict=True):
        if of and of not in names:
            raise JobError(f"--reference_column={entry} does not work: the output answers {', '.join(names)}, not {of}")
    if column := of_task.get(task.name, of_task.get("")):
        expression = "g.reference" if column == "reference" else f"g.extra[{quoted(column)}]"
        has_values = _count(database, name, f"{expression} IS NOT NULL")
        return ReferenceColumn(column, expression, "" if has_values else f"no row has a value in the column {column!r}")
    own = f"g.extra[{quoted(task.name)}]"
    if _count(database, name, f"{own} IS NOT NULL"):
        return ReferenceColumn(task.name, own)
    return ReferenceColumn("reference", "g.reference", _problem(database, task, tasks, name))


def _problem(database: duckdb.DuckDBPyConnection, task: AnsweredTask, tasks: Sequence[AnsweredTask], name: str) -> str:
    """Reason why the column `reference` does not hold the task's references; "" where it does."""
    if not _count(database, name, "g.reference IS NOT NULL"):
        return "no row has a reference"
    if task.measure == "label":
        labels = ", ".join(map(quoted, task.labels))
        fits = bool(labels) and _count(database, name, f"trim(g.reference) IN ({labels})")
        return "" if fits else f"no reference is one of its labels, {join_some(task.labels, MAX_NAMED)}"
    texts = [text for text in tasks if text.measure != "label"]
    first = next((text for text in texts if text.measure == "transcript"), texts[0] if len(texts) == 1 else None)
    if first is task:
        return ""
    return f"the references are those of {first.name}" if first else "several tasks could have the references"


def _count(database: duckdb.DuckDBPyConnection, name: str, condition: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {name} AS g WHERE {condition}").fetchall()[0][0])


def load_reference_table(
    database: duckdb.DuckDBPyConnection, options: EvaluateOptions, answers: Sequence[str]
) -> tuple[str, ...]:
    """Create the table `given` of references, from --references or else from the tables of answers.

    Returns sentences about the file, for people.
    """
    if not options.references:
        own_references(database, answers)
        return ()
    file = load_references(database, options.references, options.shape)
    notes = []
    if file.broken:
        notes.append(
            f"{counted(len(file.broken), 'row')} of {options.references} cannot be read, such as {file.broken[0]}"
        )
    if file.duplicate_ids:
        notes.append(f"several rows have one id, and the first counts: {join_some(file.duplicate_ids, MAX_NAMED)}")
    return tuple(notes)


def language_expression(task: AnsweredTask, output: Output, options: EvaluateOptions, row: str = "r") -> str:
    """SQL for the language of a row's reference, over a row of answers `row` and a row of references `g`."""
    if options.language or output.language:
        fixed = quoted(options.language or output.language)
        return fixed if options.language else f"coalesce(g.language, {fixed})"
    reports_language = "language" in task.answer_kind.short_fields and not task.target_language
    answered = f"{row}.{task.name}.language" if reports_language else "NULL"
    return f"coalesce(g.language, {answered}, '')"
