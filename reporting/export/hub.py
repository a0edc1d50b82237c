"""Annotations with their audio as a Hugging Face datasets folder: Parquet in `data/`, and a card."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.reporting.card.dataset_card import CARD_PATH, card, card_license
from earmark.reporting.card.facts import CardFacts, is_speech
from earmark.reporting.card.hub_features import AUDIO_FILE, parquet_metadata
from earmark.reporting.export.audio import AudioFile, AudioRequest, audio_files
from earmark.reporting.export.captions import file_name
from earmark.reporting.export.job import ExportJob
from earmark.reporting.export.rows import Counts, Row, extra_of
from earmark.reporting.part_figures import Totals
from earmark.reporting.provenance import Provenance
from earmark.schemas.errors import RowError
from earmark.schemas.fixed_columns import FIXED_COLUMNS
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import AskedTask
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.tables import EXTRA
from earmark.transforms.audio.isolation import call_isolated, child_processes

GROUP_BYTES = 32 * 2**20  # audio in a row group, which readers keep in memory
FILE_BYTES = 500 * 2**20  # audio in a file, as datasets writes it
CHUNK_ROWS = 4  # rows that one child process fetches at the same time
TIMEOUT_S = 300.0
DATA = "data/*.parquet"


def write(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> None:
    """Write the folder; recordings whose audio cannot be fetched are left out."""
    schema = hub_schema(job.schema, job.tasks)
    with tempfile.TemporaryDirectory(prefix="earmark-export-", ignore_cleanup_errors=True) as scratch:
        rows = _rows_with_audio(tables, schema, manifest_shape(job.provenance), scratch, counts)
        totals = _write_files(rows, schema, job)
    facts = CardFacts(
        job.target.name, card_license(job.store), job.provenance, job.tasks, totals, schema, (), DATA, job.where
    )
    with job.target.create(CARD_PATH) as file:
        file.write(card(facts).encode())


def hub_schema(schema: pa.Schema, tasks: Sequence[AskedTask]) -> pa.Schema:
    """The columns of the export: the audio first, so the column of its facts is called audio_facts."""
    plain = [name for name in FIXED_COLUMNS if name not in ("extra", "audio")]
    answers = {task.name for task in tasks}
    return pa.schema(
        [
            pa.field("audio", AUDIO_FILE),
            *(pa.field(name, schema.field(name).type) for name in plain),
            pa.field("extra", EXTRA),
            pa.field("audio_facts", schema.field("audio").type),
            *(pa.field(field.name, field.type) for field in schema if field.name in answers),
        ]
    )


def manifest_shape(provenance: Provenance) -> ManifestShape:
    """The shape of the manifest's rows, as the last run read them."""
    return JobOptions(columns=provenance.run.columns if provenance.run else ()).shape()


def _rows_with_audio(
    tables: Iterable[pa.Table], schema: pa.Schema, shape: ManifestShape, scratch: str, counts: Counts
) -> Iterator[dict[str, Any]]:
    """Rows of `schema`."""
    pool = child_processes(os.cpu_count() or 1)
    at_once = CHUNK_ROWS * (os.cpu_count() or 1)
    for table in tables:
        for start in range(0, table.num_rows, at_once):
            rows = table.slice(start, at_once).to_pylist()
            with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
                requests = [_request(row, shape, f"{folder}/{number}") for number, row in enumerate(rows)]
                chunks = [requests[at : at + CHUNK_ROWS] for at in range(0, len(requests), CHUNK_ROWS)]
                for row, audio in zip(rows, call_isolated(pool, audio_files, chunks, TIMEOUT_S), strict=True):
                    if isinstance(audio, RowError):
                        counts.leave_out(row, audio.error, audio.message)
                    else:
                        counts.add_written(row)
                        yield _hub_row(row, audio, schema)


def _request(row: Row, shape: ManifestShape, target: str) -> AudioRequest:
    duration_s = row["audio"]["duration_s"]
    return AudioRequest(row["uri"], row["offset_s"], duration_s, row["channel"], shape, TIMEOUT_S, target)


def _hub_row(row: Row, file: AudioFile, schema: pa.Schema) -> dict[str, Any]:
    with open(file.path, "rb") as content:
        audio = {"bytes": content.read(), "path": f"{file_name(row['id'])}{file.suffix}"}
    extra = [{"key": key, "value": value} for key, value in extra_of(row).items()]
    values = {**row, "audio": audio, "audio_facts": row["audio"], "extra": extra}
    return {name: values[name] for name in schema.names}


def _write_files(rows: Iterable[dict[str, Any]], schema: pa.Schema, job: ExportJob) -> Totals:
    files = 0
    languages: Counter[str] = Counter()
    speech = next((task.name for task in job.tasks if is_speech(task)), None)
    count, audio_s, in_file = 0, 0.0, 0
    with ExitStack() as opened:
        writer = None
        for group, size in _groups(rows):
            if writer is None or in_file + size > FILE_BYTES:
                opened.close()
                file = opened.enter_context(job.target.create(f"data/train-{files:05d}.parquet"))
                with_features = schema.with_metadata(parquet_metadata(schema))
                writer = opened.enter_context(pq.ParquetWriter(file, with_features, compression="zstd"))
                files, in_file = files + 1, 0
            writer.write_table(pa.Table.from_pylist(group, schema=writer.schema))
            in_file += size
            count += len(group)
            audio_s += sum(row["audio_facts"]["duration_s"] for row in group)
            languages.update(row[speech]["language"] for row in group if speech and row[speech])
    del languages[None]
    return Totals(files, count, audio_s, tuple(languages.most_common()))


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Rows of a row group, and their bytes of audio."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row["audio"]["bytes"])
        if size >= GROUP_BYTES or len(group) >= 1000:
            yield group, size
            group, size = [], 0
    if group:
        yield group, size
