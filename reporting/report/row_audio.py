"""Decode annotated recordings again: the same decoder, the same part of the file, the same channel."""

import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from earmark.reporting.report.sample_rows import ReportRow
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Recording, Shard
from earmark.transforms.audio.isolation import child_processes
from earmark.transforms.containers.registry import locate
from earmark.transforms.decode_shard import decode_shard
from earmark.transforms.storage.fetch_audio import row_error

TIMEOUT_S = 60.0  # per recording; a page must not wait for a store that is gone
CHUNK_ROWS = 8  # recordings that are in memory at once; half a minute at 16 kHz is 2 MB


def read_audio(rows: Sequence[ReportRow], max_s: float) -> Iterator[np.ndarray | RowError]:
    """Decode the first `max_s` of each recording to float32 mono at SAMPLE_RATE_HZ, or say why it cannot be read.

    Decoders run in child processes, so a recording that crashes its decoder fails alone.
    """
    with tempfile.TemporaryDirectory(prefix="earmark-report-", ignore_cleanup_errors=True) as scratch:
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            try:
                yield from _read(chunk, max_s, scratch)
            except MachineError as error:  # such as missing credentials
                yield from [RowError("machine", str(error))] * len(chunk)


def _read(rows: Sequence[ReportRow], max_s: float, scratch: str) -> list[np.ndarray | RowError]:
    recordings = [_recording(str(number), row, max_s) for number, row in enumerate(rows)]
    readable = tuple(recording for recording in recordings if isinstance(recording, Recording))
    results: dict[str, np.ndarray | RowError] = {}
    if readable:
        options = JobOptions(max_duration_s=2 * max_s, recording_timeout_s=TIMEOUT_S)
        decoded = decode_shard(Shard("", readable), options, child_processes(min(2, os.cpu_count() or 1)), scratch)
        results |= {clip.recording.id: clip.samples for clip in decoded.clips}
        results |= {failure.id: RowError(failure.error, failure.message) for failure in decoded.failures}
    return [recording if isinstance(recording, RowError) else results[recording.id] for recording in recordings]


def _recording(id: str, row: ReportRow, max_s: float) -> Recording | RowError:
    """Recording to decode. fsspec can open a member of a tar; a row of a Parquet file is located first."""
    duration_s = min(row.duration_s, max_s)
    try:
        location = locate(row.uri, ManifestShape())
    except Exception as error:  # file systems and pyarrow raise errors of any class
        try:
            return row_error(row.uri, error)
        except MachineError as worse:
            return RowError("machine", str(worse))
    return Recording(id, row.uri, row.offset_s, duration_s, row.channel, location=location)
