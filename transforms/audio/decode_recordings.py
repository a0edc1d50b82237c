"""Fetches and decodes recordings in a child process of DecodeAudio. Does not import Beam, so that it starts fast."""

import itertools
import tempfile
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Recording
from earmark.schemas.text import error_with_type
from earmark.transforms.audio.audio_file import Levels, open_source, resampled_blocks, to_dbfs
from earmark.transforms.storage.fetch_audio import fetch_audio, row_error
from earmark.transforms.storage.scratch_file import no_scratch, write


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A recording to decode.

    Attributes:
        max_duration_s: Longest duration allowed.
        timeout_s: Time limit for fetching the recording.
        memory_samples: Number of samples up to which the audio stays in memory; a longer one goes to a file.
        scratch: Folder for temporary files.
        unpacked: Local path of audio from a container; "" if the recording's uri is to be fetched.
    """

    recording: Recording
    max_duration_s: float
    timeout_s: float
    memory_samples: int
    scratch: str
    unpacked: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedAudio:
    """Result of a child process: float32 mono at SAMPLE_RATE_HZ in memory, or in the raw file `spilled`."""

    samples: np.ndarray
    spilled: str
    facts: AudioFacts


def decode_requests(requests: Sequence[DecodeRequest]) -> list[DecodedAudio | RowError]:
    """Fetch the recordings in parallel, and decode them one by one.

    Raises:
        MachineError: The machine is at fault, not a recording, such as for a full disk.
    """
    scratch = requests[0].scratch
    try:
        fetched = tempfile.TemporaryDirectory(prefix="fetch-", dir=scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise no_scratch(scratch, error) from error
    with fetched as folder:
        paths = fetch_audio([r.unpacked or r.recording.uri for r in requests], folder, requests[0].timeout_s)
        return [
            path if isinstance(path, RowError) else _decode_request(request, path)
            for request, path in zip(requests, paths, strict=True)
        ]


def _decode_request(request: DecodeRequest, path: str) -> DecodedAudio | RowError:
    try:
        return decode_recording(request, path)
    except RowError as error:
        return error
    except MachineError:
        raise
    except (OSError, MemoryError) as error:
        return row_error(request.recording.uri, error)
    except Exception as error:  # decoders raise errors of any class for a hostile file, which fails alone
        return RowError("decoder_error", f"the decoder gave up ({error_with_type(error)}); is it audio, and whole?")


def decode_recording(request: DecodeRequest, path: str) -> DecodedAudio:
    """Decode the recording's part of the file at `path`.

    Raises:
        RowError: The audio cannot be decoded.
        MachineError: The scratch folder is full.
    """
    recording = request.recording
    levels = Levels()
    with open_source(path, recording.offset_s) as source:
        blocks = resampled_blocks(source, recording.channel, recording.duration_s, request.max_duration_s, levels)
        samples, spilled = _collect(blocks, request.memory_samples, request.scratch)
    if len(samples) == 0:
        raise RowError("no_audio", "the file holds no audio; record or fetch it again")
    facts = AudioFacts(
        duration_s=len(samples) / SAMPLE_RATE_HZ,
        sample_rate=source.sample_rate,
        channels=source.channels,
        codec=source.codec,
        rms_dbfs=levels.rms_dbfs,
        peak_dbfs=to_dbfs(levels.peak),
        clipped_ratio=levels.clipped / levels.values,
    )
    return DecodedAudio(samples[:0] if spilled else samples, spilled, facts)


def _collect(blocks: Iterator[np.ndarray], memory_samples: int, scratch: str) -> tuple[np.ndarray, str]:
    """Join the blocks to one array; more than `memory_samples` go to a file, whose path is the second result."""
    held: deque[np.ndarray] = deque()
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count > memory_samples:
            path = _spill(itertools.chain(_drained(held), blocks), scratch)
            return np.memmap(path, dtype=np.float32, mode="r"), path
    return (np.concatenate(held) if held else np.zeros(0, dtype=np.float32)), ""


def _drained(held: deque[np.ndarray]) -> Iterator[np.ndarray]:
    while held:
        yield held.popleft()


def _spill(blocks: Iterable[np.ndarray], scratch: str) -> str:
    """Write all blocks to a new file in `scratch`; the file is removed if a block or the disk raises an error."""
    path = Path(scratch) / f"{uuid.uuid4().hex}.f32"
    complete = False
    try:
        for block in blocks:
            write(path, np.ascontiguousarray(block), "ab")
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return str(path)
