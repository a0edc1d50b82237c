"""What a child process does for DecodeAudio: fetch recordings side by side and decode them. No Beam: it starts fast."""

import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.errors import RowError
from schemas.records import SAMPLE_RATE_HZ, AudioFacts, Recording
from transforms.audio_file import Levels, mono_blocks, open_source, to_dbfs
from transforms.fetch_audio import fetch_audio


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """What a child needs to know of a recording. `memory_samples`: a longer one is left in a file in `scratch`."""

    recording: Recording
    max_duration_s: float
    timeout_s: float
    memory_samples: int
    scratch: str


@dataclass(frozen=True, slots=True, eq=False)
class DecodedAudio:
    """Samples as they come from a child: float32 mono in memory, or in the raw file `spilled`."""

    samples: np.ndarray
    spilled: str
    facts: AudioFacts


def decode_requests(requests: Sequence[DecodeRequest]) -> list[DecodedAudio | RowError]:
    """Fetches the recordings side by side and decodes them one after the other."""
    with tempfile.TemporaryDirectory(prefix="earmark-fetch-", dir=requests[0].scratch) as folder:
        paths = fetch_audio([request.recording.uri for request in requests], folder, requests[0].timeout_s)
        return [
            path if isinstance(path, RowError) else _decode_request(request, path)
            for request, path in zip(requests, paths, strict=True)
        ]


def _decode_request(request: DecodeRequest, path: str) -> DecodedAudio | RowError:
    try:
        return decode_recording(request, path)
    except RowError as error:
        return error


def decode_recording(request: DecodeRequest, path: str) -> DecodedAudio:
    """The recording's part of the file at `path`.

    Raises:
        RowError: there is no audio to be had from it.
    """
    recording = request.recording
    levels = Levels()
    with open_source(path, recording.offset_s) as source:
        blocks = mono_blocks(source, recording.channel, recording.duration_s, request.max_duration_s, levels)
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
    """All blocks as one array; from `memory_samples` on they go to a file, whose path is the second result."""
    held: list[np.ndarray] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count > memory_samples:
            path = str(Path(scratch) / f"{uuid.uuid4().hex}.f32")
            with ExitStack() as on_error, open(path, "wb") as file:
                on_error.callback(os.unlink, path)
                for part in held:
                    part.tofile(file)
                held.clear()
                for block in blocks:
                    block.tofile(file)
                on_error.pop_all()
            return np.memmap(path, dtype=np.float32, mode="r"), path
    return (np.concatenate(held) if held else np.zeros(0, dtype=np.float32)), ""
