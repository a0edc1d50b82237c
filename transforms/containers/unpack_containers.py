"""Unpack a shard's recordings from their containers to files, in a child process, before DecodeAudio decodes them.

Each container is read in one pass. The files take about MAX_SHARD_BYTES (pack_shards.py) on the disk for a shard.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.locations import AudioLocation
from earmark.schemas.records import Recording
from earmark.transforms.containers.container_file import find_container
from earmark.transforms.containers.registry import kind_of_location
from earmark.transforms.storage.fetch_audio import row_error
from earmark.transforms.storage.scratch_file import no_scratch


@dataclass(frozen=True, slots=True)
class UnpackRequest:
    """Recordings of a shard that lie in one container.

    Attributes:
        indices: Numbers of the recordings in the shard.
        locations: Locations of the recordings, in the same order.
        scratch: Folder for their files.
    """

    container: str
    version: str
    indices: tuple[int, ...]
    locations: tuple[AudioLocation, ...]
    scratch: str


def unpack_requests(recordings: Sequence[Recording], scratch: str) -> list[UnpackRequest]:
    """Return a request for each container that recordings of a shard lie in."""
    by_container: dict[tuple[str, str], dict[int, AudioLocation]] = {}
    for index, recording in enumerate(recordings):
        if location := recording.location:
            by_container.setdefault((location.container, location.version), {})[index] = location
    return [
        UnpackRequest(container, version, tuple(locations), tuple(locations.values()), scratch)
        for (container, version), locations in by_container.items()
    ]


def unpack_containers(requests: Sequence[UnpackRequest]) -> list[list[str | RowError] | RowError]:
    """Return, for each request, the local path or the error of each recording, or one error for all its recordings.

    Raises:
        MachineError: The machine is at fault, not a container, such as for a full disk.
    """
    return [_unpack(request) for request in requests]


def _unpack(request: UnpackRequest) -> list[str | RowError] | RowError:
    try:
        folder = tempfile.mkdtemp(prefix="unpack-", dir=request.scratch)
    except OSError as error:
        raise no_scratch(request.scratch, error) from error
    targets = [f"{folder}/{number}{location.suffix}" for number, location in enumerate(request.locations)]
    try:
        container = find_container(request.container)
        if container.version != request.version:
            return RowError("container_changed", f"{request.container} changed after the job was planned; start again")
        return kind_of_location(request.locations[0]).unpack(container, request.locations, targets)
    except MachineError:
        raise
    except Exception as error:  # file systems raise errors of any class; row_error sorts them
        return row_error(request.container, error)
