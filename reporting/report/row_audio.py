"""The audio of annotated recordings once more, as it was heard: the same decoder, the same part, the same channel."""

import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from earmark.reporting.report.sample_rows import ShownRow
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Recording, Shard
from earmark.transforms.audio.isolation import child_processes
from earmark.transforms.containers.parquet_rows import location_of_row, named_row
from earmark.transforms.decode_shard import decode_shard
from earmark.transforms.storage.fetch_audio import row_error

TIMEOUT_S = 60.0  # a recording; a page must not wait for a store that is gone
AT_ONCE = 8  # recordings; half a minute at 16 kHz is 2 MB, and they stay in memory


def read_audio(rows: Sequence[ShownRow], max_s: float) -> Iterator[np.ndarray | RowError]:
    """The first `max_s` of each recording, or why it cannot be read; float32 mono at SAMPLE_RATE_HZ.

    Decoders run in child processes: what crashes one costs its recording.
    """
    with tempfile.TemporaryDirectory(prefix="earmark-report-", ignore_cleanup_errors=True) as scratch:
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            try:
                yield from _read(some, max_s, scratch)
            except MachineError as error:  # such as credentials that this machine does not have
                yield from [RowError("machine", str(error))] * len(some)


def _read(rows: Sequence[ShownRow], max_s: float, scratch: str) -> list[np.ndarray | RowError]:
    recordings = [_recording(str(number), row, max_s) for number, row in enumerate(rows)]
    there = tuple(one for one in recordings if isinstance(one, Recording))
    found: dict[str, np.ndarray | RowError] = {}
    if there:
        options = JobOptions(max_duration_s=2 * max_s, recording_timeout_s=TIMEOUT_S)
        decoded = decode_shard(Shard("", there), options, child_processes(min(2, os.cpu_count() or 1)), scratch)
        found |= {clip.recording.id: clip.samples for clip in decoded.clips}
        found |= {failure.id: RowError(failure.error, failure.message) for failure in decoded.failures}
    return [one if isinstance(one, RowError) else found[one.id] for one in recordings]


def _recording(id: str, row: ShownRow, max_s: float) -> Recording | RowError:
    """What to decode. fsspec itself opens a member of a tar; a row of a Parquet file has to be found first."""
    duration_s = min(row.duration_s, max_s)
    try:
        place = location_of_row(*named, ManifestShape()) if (named := named_row(row.uri)) else None
    except Exception as error:  # file systems raise what they like, and pyarrow for a file that is none any more
        try:
            return row_error(row.uri, error)
        except MachineError as worse:
            return RowError("machine", str(worse))
    return Recording(id, row.uri, row.offset_s, duration_s, row.channel, location=place)
