"""References: from the annotations' own columns, or from a second file, such as the manifest."""

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
NOT_NEEDED = "-"  # stands for the audio of a row that has an id


@dataclasses.dataclass(frozen=True, slots=True)
class ReferenceFile:
    """What a file of references brought.

    Attributes:
        broken: rows that cannot be read, as sentences.
        doubled: ids that have several rows, of which the first counts.
    """

    broken: tuple[str, ...]
    doubled: tuple[str, ...]


def load_references(
    database: duckdb.DuckDBPyConnection, place: str, shape: ManifestShape, name: str = "given"
) -> ReferenceFile:
    """Makes the table `<name>` of SCHEMA from a manifest, or from any file of its formats with ids.

    Rows without an id are known by their audio, as annotate knows them.

    Raises:
        JobError: the file cannot be read, or no row of it can.
    """
    broken: list[str] = []
    insert(database, f"{name}_rows", SCHEMA.empty_table(), create=True)
    rows = enumerate(row for manifest in find_manifests(place) for row in _read(manifest, shape))
    while some := list(islice(rows, ROWS_AT_ONCE)):
        broken += [row.message for _, row in some if isinstance(row, Failure)]
        found = [_values(line, row) for line, row in some if isinstance(row, Recording)]
        insert(database, f"{name}_rows", pa.Table.from_pylist(found, schema=SCHEMA))
    twice = database.execute(f"SELECT id FROM {name}_rows GROUP BY id HAVING count(*) > 1 ORDER BY id").fetchall()
    database.execute(
        f"CREATE TABLE {name} AS SELECT DISTINCT ON (id) * FROM {name}_rows ORDER BY id, line; DROP TABLE {name}_rows"
    )
    (there,) = database.execute(f"SELECT count(*) FROM {name}").fetchall()[0]
    if not there:
        said = f": {broken[0]}" if broken else ""
        raise JobError(f"--references={place} has no row that can be read{said}")
    return ReferenceFile(tuple(broken), tuple(id for (id,) in twice))


def _read(manifest: str, shape: ManifestShape) -> Iterator[Recording | Failure]:
    shape = shape_for(manifest, shape)
    for row in manifest_rows(manifest, shape, None):
        yield parse_row(_with_audio(row, shape), shape)


def _with_audio(row: ManifestRow, shape: ManifestShape) -> ManifestRow:
    """A row that names no audio but has an id needs none here."""
    used = shape.used(row.values)
    if row.uri or "audio" in used or row.values.get(used.get("id", ""), "") in ("", None):
        return row
    return dataclasses.replace(row, uri=NOT_NEEDED)


def _values(line: int, row: Recording) -> dict[str, object]:
    values = {name: getattr(row, name) for name in SCHEMA.names if name not in ("line", "extra")}
    return values | {"line": line, "extra": list(row.extra)}


def own_references(database: duckdb.DuckDBPyConnection, answers: Sequence[str], name: str = "given") -> None:
    """Makes `<name>` of the references that annotations carry, the first table's first; of failures there are none."""
    found = " UNION ALL ".join(
        f"SELECT id, reference, NULL::VARCHAR AS language, extra, {line} AS line FROM {table}"
        for line, table in enumerate(answers)
    )
    one_each = f"SELECT DISTINCT ON (id) * FROM ({found}) ORDER BY id, line" if len(answers) > 1 else found
    database.execute(f"CREATE {'TABLE' if len(answers) > 1 else 'VIEW'} {name} AS {one_each}")


@dataclasses.dataclass(frozen=True, slots=True)
class ReferenceColumn:
    """Where a task's references are, `column` to a person; or why there are none, as the end of a sentence."""

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
    """The column of a task's references: the chosen one, else one that is called like the task, else `reference`.

    `reference` is taken for a label where it holds a label of the task, and for a text where no other task of the
    output has a better claim to it: what is said, if that was asked, else the only text.

    Args:
        tasks: all of the output.
        chosen: COLUMN for every task, TASK=COLUMN for one.

    Raises:
        JobError: one of them is for a task that the output does not have.
    """
    pairs = [entry.rpartition("=") for entry in chosen]
    of_task = {task: column for task, _, column in pairs}
    names = [known.name for known in tasks]
    for entry, (of, _, _) in zip(chosen, pairs, strict=True):
        if of and of not in names:
            raise JobError(f"--reference_column={entry} does not work: the output answers {', '.join(names)}, not {of}")
    if column := of_task.get(task.name, of_task.get("")):
        expression = "g.reference" if column == "reference" else f"g.extra[{quoted(column)}]"
        there = _count(database, name, f"{expression} IS NOT NULL")
        return ReferenceColumn(column, expression, "" if there else f"no row has a value in the column {column!r}")
    own = f"g.extra[{quoted(task.name)}]"
    if _count(database, name, f"{own} IS NOT NULL"):
        return ReferenceColumn(task.name, own)
    return ReferenceColumn("reference", "g.reference", _problem(database, task, tasks, name))


def _problem(database: duckdb.DuckDBPyConnection, task: AnsweredTask, tasks: Sequence[AnsweredTask], name: str) -> str:
    """Why the column `reference` does not hold a task's references."""
    if not _count(database, name, "g.reference IS NOT NULL"):
        return "no row has a reference"
    if task.measure == "label":
        labels = ", ".join(map(quoted, task.labels))
        fits = bool(labels) and _count(database, name, f"trim(g.reference) IN ({labels})")
        return "" if fits else f"no reference is one of its labels, {join_some(task.labels, MAX_NAMED)}"
    texts = [other for other in tasks if other.measure != "label"]
    first = next((other for other in texts if other.measure == "transcript"), texts[0] if len(texts) == 1 else None)
    if first is task:
        return ""
    return f"the references are those of {first.name}" if first else "several tasks could have the references"


def _count(database: duckdb.DuckDBPyConnection, name: str, condition: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {name} AS g WHERE {condition}").fetchall()[0][0])


def load_given(
    database: duckdb.DuckDBPyConnection, options: EvaluateOptions, answers: Sequence[str]
) -> tuple[str, ...]:
    """Makes the table `given` of references, those of the answers' tables unless there is a file of them.

    Returns what is worth knowing of that file.
    """
    if not options.references:
        own_references(database, answers)
        return ()
    found = load_references(database, options.references, options.shape)
    notes = []
    if found.broken:
        notes.append(
            f"{counted(len(found.broken), 'row')} of {options.references} cannot be read, such as {found.broken[0]}"
        )
    if found.doubled:
        notes.append(f"of several rows of one id the first counts: {join_some(found.doubled, MAX_NAMED)}")
    return tuple(notes)


def language_expression(task: AnsweredTask, output: Output, options: EvaluateOptions, row: str = "r") -> str:
    """The language of a row's reference in SQL, over a row of answers `row` and a row of references `g`."""
    if options.language or output.language:
        known = quoted(options.language or output.language)
        return known if options.language else f"coalesce(g.language, {known})"
    reports_language = "language" in task.answer_kind.short_fields and not task.target_language
    answered = f"{row}.{task.name}.language" if reports_language else "NULL"
    return f"coalesce(g.language, {answered}, '')"
