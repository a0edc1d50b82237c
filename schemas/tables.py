"""The Arrow schemas of the output, and rows in their shape."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from earmark.schemas.fixed_columns import FIXED_COLUMNS
from earmark.schemas.records import Annotation, Failure
from earmark.schemas.tasks import Task

AUDIO = pa.struct(
    [
        ("duration_s", pa.float64()),
        ("sample_rate", pa.int32()),
        ("channels", pa.int32()),
        ("codec", pa.string()),
        ("rms_dbfs", pa.float32()),
        ("peak_dbfs", pa.float32()),
        ("clipped_ratio", pa.float32()),
        ("speech_ratio", pa.float32()),
        ("bandwidth_hz", pa.float32()),
        ("snr_db", pa.float32()),
    ]
)
# A list of pairs, not a map, for which Hugging Face's datasets has no type.
EXTRA = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
FIXED_TYPES: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "uri": pa.string(),
    "offset_s": pa.float64(),
    "channel": pa.int32(),
    "reference": pa.string(),
    "extra": EXTRA,
    "audio": AUDIO,
}
NULLABLE = ("channel", "reference")
FAILURES = pa.schema([(field.name, pa.string()) for field in dataclasses.fields(Failure)])


def annotations_schema(tasks: Sequence[Task]) -> pa.Schema:
    """The schema of `annotations/`: the same for every part of a job, whatever its rows hold."""
    fixed = [pa.field(name, FIXED_TYPES[name], nullable=name in NULLABLE) for name in FIXED_COLUMNS]
    return pa.schema(fixed + [pa.field(task.name, task.answer_kind.arrow_type(task)) for task in tasks])


def annotations_table(annotations: Iterable[Annotation], tasks: Sequence[Task]) -> pa.Table:
    """Annotations as a table of `annotations_schema(tasks)`.

    Raises:
        ValueError: An answer or a field that the schema has no column for, or a task without an answer.
    """
    schema = annotations_schema(tasks)
    rows = [
        {
            "id": row.recording.id,
            "uri": row.recording.uri,
            "offset_s": row.recording.offset_s,
            "channel": row.recording.channel,
            "reference": row.recording.reference,
            "extra": [{"key": key, "value": value} for key, value in row.recording.extra],
            "audio": dataclasses.asdict(row.facts),
            **{task: answer.column_value() for task, answer in row.answers.items()},
        }
        for row in annotations
    ]
    for row in rows:
        _check_fields("a row", row, pa.struct(schema))
    return pa.Table.from_pylist(rows, schema=schema)


def extra_as_map(table: pa.Table) -> pa.Table:
    """Annotations, or some of their columns, with `extra` as a map, from which SQL takes a value by its key."""
    if "extra" not in table.column_names:
        return table
    lists = table["extra"].combine_chunks()
    pairs = lists.values
    extra = pa.MapArray.from_arrays(lists.offsets, pairs.field("key"), pairs.field("value"))
    return table.set_column(table.column_names.index("extra"), "extra", extra)


def _check_fields(where: str, value: Any, type: pa.DataType) -> None:
    """Raise ValueError for unknown and missing fields, which pyarrow would drop or fill with null without a message."""
    if pa.types.is_list(type):
        for element in value or ():
            _check_fields(where, element, type.value_type)
    fields = _struct_fields(type)
    if not fields or value is None:
        return
    if unknown := sorted(value.keys() - fields.keys()):
        raise ValueError(f"{where} has {', '.join(unknown)}, which the schema lacks ({', '.join(fields)})")
    if missing := sorted(fields.keys() - value.keys()):
        raise ValueError(f"{where} has no {', '.join(missing)}, which the schema requires")
    for name, of_field in fields.items():
        _check_fields(name, value[name], of_field)


@functools.cache
def _struct_fields(type: pa.DataType) -> Mapping[str, pa.DataType]:
    """Types of a struct's fields by name; empty for any other type."""
    return {field.name: field.type for field in type} if pa.types.is_struct(type) else {}


def failures_table(failures: Sequence[Failure]) -> pa.Table:
    # Column by column: as rows, half a million of them took five times as long and twice the memory.
    return pa.table([[getattr(failure, name) for failure in failures] for name in FAILURES.names], schema=FAILURES)
