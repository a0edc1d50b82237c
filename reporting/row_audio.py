"""The audio of annotated recordings once more, as it was heard: the same decoder, the same part, the same channel."""

import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from reporting.shown_rows import ShownRow
from schemas.errors import MachineError, RowError
from schemas.manifest import ManifestShape
from schemas.records import SAMPLE_RATE_HZ, Recording
from transforms.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from transforms.fetch_audio import row_error
from transforms.isolation import call_isolated, child_processes
from transforms.parquet_rows import named_row, place_of_row
from transforms.unpack_containers import unpack_containers, unpack_requests

TIMEOUT_S = 60.0  # a recording; a page must not wait for a store that is gone
AT_ONCE = 8  # recordings that one child fetches side by side


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
    recordings = [_recording(row, max_s) for row in rows]
    there = [one for one in recordings if isinstance(one, Recording)]
    pool = child_processes(min(2, os.cpu_count() or 1))
    paths: dict[int, str | RowError] = {}
    requests = unpack_requests(there, scratch)
    chunks = [[request] for request in requests]
    for request, found in zip(requests, call_isolated(pool, unpack_containers, chunks, TIMEOUT_S), strict=True):
        of_each = [found] * len(request.indices) if isinstance(found, RowError) else found
        paths |= zip(request.indices, of_each, strict=True)
    # Half a minute at 16 kHz is 2 MB: all of them stay in memory.
    limits = (2 * max_s, TIMEOUT_S, round(2 * max_s * SAMPLE_RATE_HZ), scratch)
    wanted = [
        DecodeRequest(one, *limits, path)
        for index, one in enumerate(there)
        if not isinstance(path := paths.get(index, ""), RowError)
    ]
    decoded = call_isolated(pool, decode_requests, [wanted] if wanted else [], TIMEOUT_S)
    found_there = iter(
        [
            path if isinstance(path := paths.get(index, ""), RowError) else _samples(next(decoded))
            for index in range(len(there))
        ]
    )
    return [one if isinstance(one, RowError) else next(found_there) for one in recordings]


def _samples(found: DecodedAudio | RowError) -> np.ndarray | RowError:
    return found if isinstance(found, RowError) else found.samples


def _recording(row: ShownRow, max_s: float) -> Recording | RowError:
    """What to decode. fsspec itself opens a member of a tar; a row of a Parquet file has to be found first."""
    duration_s = min(row.duration_s, max_s)
    try:
        place = place_of_row(*named, ManifestShape()) if (named := named_row(row.uri)) else None
    except Exception as error:  # file systems raise what they like, and pyarrow for a file that is none any more
        try:
            return row_error(row.uri, error)
        except MachineError as worse:
            return RowError("machine", str(worse))
    return Recording(row.id, row.uri, row.offset_s, duration_s, row.channel, place=place)
