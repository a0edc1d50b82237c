"""The audio of an annotation as the models heard it: the same part and channel, by the same decoder."""

import posixpath
import re
import tempfile
from dataclasses import dataclass

import numpy as np

from earmark.model.served.wav import wav_of
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.locations import AudioLocation, TarLocation
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from earmark.transforms.containers.container_file import find_container
from earmark.transforms.containers.parquet_rows import location_of_row, named_row
from earmark.transforms.containers.tar_index import looked_up_members
from earmark.transforms.containers.tar_members import read_members
from earmark.transforms.containers.unpack_containers import unpack_containers, unpack_requests
from earmark.transforms.manifests.find import TAR, manifest_format
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.fetch_audio import row_error

MEMBER = re.compile(r"\w+://(?P<member>.+?)::(?P<container>.+)", re.DOTALL)  # as fsspec writes a chain
TIMEOUT_S = 60.0  # to fetch a recording
MEMORY_SAMPLES = 16 * 2**20  # 64 MiB; what is longer lies in a file until it is written
# What is heard of a part is a whole number of samples at SAMPLE_RATE_HZ: of a source of a higher rate, some frames more
# may have made the last of them. What is read too much is cut off again.
SLACK_S = 0.49 / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class AudioSource:
    """Where the audio of a recording came from.

    Attributes:
        uri, offset_s, channel: as in the annotation.
        container: the archive or Parquet file that `uri` says it is in; "" for a file of its own.
        member: its name in an archive; "" elsewhere.
        row: its row in a Parquet file, from 0; None elsewhere.
    """

    uri: str
    offset_s: float
    channel: int | None
    container: str = ""
    member: str = ""
    row: int | None = None

    @classmethod
    def of(cls, uri: str, offset_s: float, channel: int | None) -> "AudioSource":
        if named := named_row(uri):
            container, row = named
            return cls(uri, offset_s, channel, container, row=row)
        if found := MEMBER.fullmatch(uri):
            return cls(uri, offset_s, channel, found["container"].removeprefix("file://"), found["member"])
        return cls(uri, offset_s, channel)


def heard_wav(source: AudioSource, duration_s: float, columns: ManifestShape, store: OutputStore) -> bytes:
    """What the models heard of a recording, as a WAV file of 16 bits at SAMPLE_RATE_HZ.

    Args:
        duration_s: of the annotation: how much of the source was heard, from its offset.
        columns: as the run was told, of a manifest that holds the audio itself.
        store: the output, which may have kept what a tar holds.

    Raises:
        RowError: the audio cannot be had any more.
        MachineError, JobError: nothing can be had here; no credentials, a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="earmark-heard-") as scratch:
        recording = Recording(
            "",
            source.uri,
            source.offset_s,
            duration_s + SLACK_S,
            source.channel,
            location=_location(source, columns, store),
        )
        unpacked = _unpacked(recording, scratch)
        request = DecodeRequest(recording, duration_s + 1, TIMEOUT_S, MEMORY_SAMPLES, scratch, unpacked)
        (decoded,) = decode_requests([request])
        if isinstance(decoded, RowError):
            raise decoded
        return wav_of(_samples(decoded)[: round(duration_s * SAMPLE_RATE_HZ)])


def _location(source: AudioSource, columns: ManifestShape, store: OutputStore) -> AudioLocation | None:
    """Where in its container the audio is; None where fsspec can fetch it by its uri."""
    try:
        if source.row is not None:
            return location_of_row(source.container, source.row, columns)
        if source.member and manifest_format(source.container) == TAR:
            return _location_in_tar(source, store)
    except (JobError, MachineError):
        raise
    except Exception as error:  # file systems and pyarrow raise what they like; row_error sorts it
        raise row_error(source.container, error) from error
    return None


def _location_in_tar(source: AudioSource, store: OutputStore) -> TarLocation | None:
    container = find_container(source.container)
    members = looked_up_members(store, source.container, container)
    if members is None:
        members = read_members(source.container, container)
    named = [member for member in members if member.name == source.member and not member.problem]
    if not named:
        return None
    last = named[-1]  # which has replaced the others of its name
    suffix = posixpath.splitext(last.name)[1].lower()
    return TarLocation(source.container, container.version, last.start, last.size_bytes, suffix)


def _unpacked(recording: Recording, scratch: str) -> str:
    """The local path of what comes out of a container; "" where the recording is in none."""
    requests = unpack_requests([recording], scratch)
    for result in unpack_containers(requests):
        path = result if isinstance(result, RowError) else result[0]
        if isinstance(path, RowError):
            raise path
        return path
    return ""


def _samples(decoded: DecodedAudio) -> np.ndarray:
    return np.memmap(decoded.spilled, dtype=np.float32, mode="r") if decoded.spilled else decoded.samples
