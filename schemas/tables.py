"""The Arrow schemas of the output, and rows in their shape."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.records import Annotation, Failure

TEXT_SEGMENT = pa.struct(
    [("start_s", pa.float64()), ("end_s", pa.float64()), ("text", pa.string()), ("avg_logprob", pa.float32())]
)
TRANSCRIPT = pa.struct(
    [
        ("text", pa.string()),
        ("language", pa.string()),
        ("avg_logprob", pa.float32()),
        ("segments", pa.list_(TEXT_SEGMENT)),
        ("flags", pa.list_(pa.string())),
    ]
)
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
    ]
)
FAILURES = pa.schema([(field.name, pa.string()) for field in dataclasses.fields(Failure)])
ANSWER_TYPES: Mapping[str, pa.DataType] = {"transcribe": TRANSCRIPT}


def annotations_schema(tasks: Sequence[str]) -> pa.Schema:
    """The schema of `annotations/`: the same for every part of a job, whatever its rows hold."""
    columns = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("reference", pa.string()),
        pa.field("extra", pa.map_(pa.string(), pa.string())),
        pa.field("audio", AUDIO, nullable=False),
    ]
    return pa.schema(columns + [pa.field(task, ANSWER_TYPES[task]) for task in tasks])


def annotations_table(annotations: Iterable[Annotation], tasks: Sequence[str]) -> pa.Table:
    """Annotations as a table of `annotations_schema(tasks)`.

    Raises:
        ValueError: an answer to a task, or a field, that the schema has no column for.
    """
    schema = annotations_schema(tasks)
    rows = [
        {
            "id": row.recording.id,
            "uri": row.recording.uri,
            "reference": row.recording.reference,
            "extra": list(row.recording.extra),
            "audio": dataclasses.asdict(row.facts),
            **{task: dataclasses.asdict(answer) for task, answer in row.answers.items()},
        }
        for row in annotations
    ]
    for row in rows:
        for name, value in row.items():
            _check_fields(name, value, schema)
    return pa.Table.from_pylist(rows, schema=schema)


def _check_fields(name: str, value: Any, schema: pa.Schema) -> None:
    """pyarrow drops what a schema does not name without a word; here it is an error."""
    if name not in schema.names:
        raise ValueError(f"column {name!r} is not in the schema of the output ({', '.join(schema.names)})")
    if isinstance(value, dict):
        known = {field.name for field in schema.field(name).type}
        if unknown := set(value) - known:
            raise ValueError(f"column {name!r} has no field {', '.join(sorted(unknown))}")


def failures_table(failures: Iterable[Failure]) -> pa.Table:
    return pa.Table.from_pylist([dataclasses.asdict(failure) for failure in failures], schema=FAILURES)
