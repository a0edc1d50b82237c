"""What a child process does for DecodeAudio before it decodes: a shard's recordings out of their containers, as files.

One pass a container: a tar's members come in ranges of many, a Parquet file's row groups are read once each. What lies
on the disk for it is about what the recordings have in their containers, MAX_SHARD_BYTES (pack_shards.py) a shard.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.locations import AudioLocation, ParquetLocation, TarLocation
from earmark.schemas.records import Recording
from earmark.transforms.containers.container_file import find_container
from earmark.transforms.containers.unpack_parquet import unpack_parquet
from earmark.transforms.containers.unpack_tar import unpack_tar
from earmark.transforms.storage.fetch_audio import row_error
from earmark.transforms.storage.scratch_file import no_scratch


@dataclass(frozen=True, slots=True)
class UnpackRequest:
    """Recordings of a shard that lie in one container: their `indices` in the shard, and their places.

    `scratch`: the folder that their files go to.
    """

    container: str
    version: str
    indices: tuple[int, ...]
    places: tuple[AudioLocation, ...]
    scratch: str


def unpack_requests(recordings: Sequence[Recording], scratch: str) -> list[UnpackRequest]:
    """A request for each container that recordings of a shard lie in."""
    found: dict[tuple[str, str], dict[int, AudioLocation]] = {}
    for index, recording in enumerate(recordings):
        if location := recording.location:
            found.setdefault((location.container, location.version), {})[index] = location
    return [
        UnpackRequest(container, version, tuple(places), tuple(places.values()), scratch)
        for (container, version), places in found.items()
    ]


def unpack_containers(requests: Sequence[UnpackRequest]) -> list[list[str | RowError] | RowError]:
    """For each request the local path of each of its recordings, or why there is none; a RowError is for all of them.

    Raises:
        MachineError: no container is to blame, such as for a full disk.
    """
    return [_unpack(request) for request in requests]


def _unpack(request: UnpackRequest) -> list[str | RowError] | RowError:
    try:
        folder = tempfile.mkdtemp(prefix="unpack-", dir=request.scratch)
    except OSError as error:
        raise no_scratch(request.scratch, error) from error
    targets = [f"{folder}/{number}{location.suffix}" for number, location in enumerate(request.places)]
    try:
        container = find_container(request.container)
        if container.version != request.version:
            return RowError("container_changed", f"{request.container} changed after the job was planned; start again")
        if tar := [location for location in request.places if isinstance(location, TarLocation)]:
            return unpack_tar(container, tar, targets)
        return unpack_parquet(container, [p for p in request.places if isinstance(p, ParquetLocation)], targets)
    except MachineError:
        raise
    except Exception as error:  # file systems raise what they like; row_error sorts it
        return row_error(request.container, error)
