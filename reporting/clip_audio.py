"""The audio of an annotation as the models got it: the same part and channel, by the same decoder."""

import tempfile
from dataclasses import dataclass

import numpy as np

from earmark.model.served.wav import wav_of
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.locations import AudioLocation, contained_name
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from earmark.transforms.containers.registry import locate
from earmark.transforms.containers.unpack_containers import unpack_containers, unpack_requests
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.fetch_audio import row_error

TIMEOUT_S = 60.0  # for fetching and decoding a recording
MEMORY_SAMPLES = 16 * 2**20  # 64 MiB; longer audio is decoded to a temporary file
# A part has a whole number of samples at SAMPLE_RATE_HZ. At a higher source rate, the last sample may need a few frames
# more than its duration says; so a little more is read, and the surplus is cut off.
SLACK_S = 0.49 / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class AudioSource:
    """Location of the audio of a recording.

    Attributes:
        uri: URI of the annotation, like `offset_s` and `channel`.
        container: Path or URL of the archive or Parquet file; "" for audio in a file of its own.
        member: Name of the member in an archive; "" elsewhere.
        row: Index of the row in a Parquet file; None elsewhere.
    """

    uri: str
    offset_s: float
    channel: int | None
    container: str = ""
    member: str = ""
    row: int | None = None

    @classmethod
    def of(cls, uri: str, offset_s: float, channel: int | None) -> "AudioSource":
        if name := contained_name(uri):
            return cls(uri, offset_s, channel, name.container, name.member, name.row)
        return cls(uri, offset_s, channel)


def decode_clip(source: AudioSource, duration_s: float, shape: ManifestShape, store: OutputStore) -> bytes:
    """Decode the annotated part of a recording to a WAV file of 16 bits at SAMPLE_RATE_HZ.

    Args:
        duration_s: Duration of the annotated part, from the offset of `source`.
        shape: Columns of the manifest, where the manifest is a Parquet file that holds the audio.
        store: Output, which may have the index of a tar.

    Raises:
        RowError: The audio can no longer be read.
        MachineError: This machine cannot read it, for example without credentials or with a full disk.
        JobError: The container cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="earmark-clip-") as scratch:
        recording = Recording(
            "",
            source.uri,
            source.offset_s,
            duration_s + SLACK_S,
            source.channel,
            location=_location(source, shape, store),
        )
        unpacked = _unpack(recording, scratch)
        request = DecodeRequest(recording, duration_s + 1, TIMEOUT_S, MEMORY_SAMPLES, scratch, unpacked)
        (decoded,) = decode_requests([request])
        if isinstance(decoded, RowError):
            raise decoded
        return wav_of(_samples(decoded)[: round(duration_s * SAMPLE_RATE_HZ)])


def _location(source: AudioSource, shape: ManifestShape, store: OutputStore) -> AudioLocation | None:
    """The location of the audio in its container; None where fsspec can fetch it by its URI."""
    try:
        return locate(source.uri, shape, store)
    except (JobError, MachineError):
        raise
    except Exception as error:  # file systems and pyarrow raise errors of any class; row_error sorts them
        raise row_error(source.container, error) from error


def _unpack(recording: Recording, scratch: str) -> str:
    """The local path of the unpacked audio; "" where the recording is not in a container."""
    requests = unpack_requests([recording], scratch)
    for result in unpack_containers(requests):
        path = result if isinstance(result, RowError) else result[0]
        if isinstance(path, RowError):
            raise path
        return path
    return ""


def _samples(decoded: DecodedAudio) -> np.ndarray:
    return np.memmap(decoded.spilled, dtype=np.float32, mode="r") if decoded.spilled else decoded.samples
