"""Child process of `earmark export --format hf`: the file of each recording, or its annotated part.

Imports no Beam, so it starts fast.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.locations import AudioLocation
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.text import error_with_type
from earmark.transforms.audio.audio_file import open_source
from earmark.transforms.audio.open_audio import Source, frames_in
from earmark.transforms.containers.container_file import find_container
from earmark.transforms.containers.registry import kind_of_location, locate
from earmark.transforms.storage.fetch_audio import fetch_audio, row_error

# A file at most this much longer than its annotated part is exported whole: resampling and codecs leave less over.
SLACK_S = 0.01
FLAC_CHANNELS = 8
MAX_BYTES = 2**31 - 1  # limit of a value in Arrow
DEEP = ("pcm_24", "pcm_32", "float", "double")  # codecs with more than 16 bits
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$")


@dataclass(frozen=True, slots=True)
class AudioRequest:
    """A request for the audio of a recording.

    Attributes:
        duration_s: Duration of the annotated part, which starts at `offset_s`.
        shape: Shape of the manifest, which may be a container in Parquet.
        target: Path of the file to write, without a suffix.
    """

    uri: str
    offset_s: float
    duration_s: float
    channel: int | None
    shape: ManifestShape
    timeout_s: float
    target: str


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file in the scratch folder, or a local recording itself; `suffix` is one such as ".flac", or ""."""

    path: str
    suffix: str


def audio_files(requests: Sequence[AudioRequest]) -> list[AudioFile | RowError]:
    """For each request the file itself if it was annotated whole, else the annotated part as FLAC at the file's rate.

    Raises:
        MachineError: The machine fails, not a recording: a full disk.
    """
    folder = tempfile.mkdtemp(prefix="fetch-", dir=os.path.dirname(requests[0].target))
    paths: dict[int, str | RowError] = {}
    locations = [_location(request) for request in requests]
    plain = [index for index, location in enumerate(locations) if location is None]
    timeout_s = requests[0].timeout_s
    paths |= zip(plain, fetch_audio([requests[index].uri for index in plain], folder, timeout_s), strict=True)
    for index, location in enumerate(locations):
        if location is not None:
            target = f"{folder}/{index}.bytes"
            paths[index] = location if isinstance(location, RowError) else _unpacked(location, target)
    return [_audio_file(request, paths[index]) for index, request in enumerate(requests)]


def _location(request: AudioRequest) -> AudioLocation | RowError | None:
    """Location of the audio in its container; None where fsspec can fetch it by its uri."""
    try:
        return locate(request.uri, request.shape)
    except Exception as error:  # file systems and pyarrow raise errors of any class; row_error sorts them
        return row_error(request.uri, error)


def _unpacked(location: AudioLocation, target: str) -> str | RowError:
    """Write the bytes at a location to `target`."""
    container = location.container
    try:
        (unpacked,) = kind_of_location(location).unpack(find_container(container), [location], [target])
        return unpacked
    except MachineError:
        raise
    except Exception as error:  # file systems and pyarrow raise anything; row_error sorts it
        return row_error(container, error)


def _audio_file(request: AudioRequest, path: str | RowError) -> AudioFile | RowError:
    if isinstance(path, RowError):
        return path
    try:
        if os.path.getsize(path) > MAX_BYTES:
            return RowError("too_large", f"{request.uri!r} has more than 2 GiB; export it in another format")
        if _covers_file(request, path):
            suffix = _SUFFIX.search(request.uri.split("::")[0])
            return AudioFile(path, suffix[0].lower() if suffix else "")
        target = f"{request.target}.flac"
        _write_part(request, path, target)
        return AudioFile(target, ".flac")
    except RowError as error:
        return error
    except (OSError, MemoryError) as error:
        return row_error(request.uri, error)
    except Exception as error:  # decoders raise anything for a hostile file
        return RowError("decoder_error", f"the decoder gave up ({error_with_type(error)}); is it audio, and whole?")


def _covers_file(request: AudioRequest, path: str) -> bool:
    """Whether the whole file was annotated."""
    if request.offset_s or request.channel is not None:
        return False
    limit_s = request.duration_s + SLACK_S
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic in (b"RIFF", b"fLaC"):  # formats with reliable headers
        info = soundfile.info(path)
        return bool(info.frames <= limit_s * info.samplerate)
    with open_source(path, 0.0) as source:
        frames = 0
        for block in source.blocks:
            frames += len(block)
            if frames > limit_s * source.sample_rate:
                return False
    return True


def _write_part(request: AudioRequest, path: str, target: str) -> None:
    with open_source(path, request.offset_s) as source:
        channels = source.channels if request.channel is None else 1
        if channels > FLAC_CHANNELS:
            raise RowError("too_many_channels", f"{channels} channels, and FLAC holds {FLAC_CHANNELS}; choose one")
        if request.channel is not None and request.channel >= source.channels:
            raise RowError("no_such_channel", f"channel {request.channel} of a file with {source.channels}")
        deep = source.codec in DEEP or (source.codec == "flac" and soundfile.info(path).subtype == "PCM_24")
        subtype = "PCM_24" if deep else "PCM_16"
        with soundfile.SoundFile(target, "w", source.sample_rate, channels, subtype, format="FLAC") as file:
            _copy(source, request, file, deep)


def _copy(source: Source, request: AudioRequest, file: soundfile.SoundFile, deep: bool) -> None:
    remaining = frames_in(request.duration_s, source.sample_rate)
    for block in source.blocks:
        block = block[:remaining]
        remaining -= len(block)
        block = block if request.channel is None else block[:, request.channel : request.channel + 1]
        # As integers: libsndfile would scale floats by 32767, which changes 16-bit samples.
        bits = 24 if deep else 16
        integers = np.clip(np.rint(block * 2.0 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        file.write(integers.astype(np.int32) << 8 if deep else integers.astype(np.int16))
        if remaining <= 0:
            return
