"""DecodeAudio: from the recordings of a shard to clips, fetched and decoded in child processes."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np

from schemas.errors import RowError
from schemas.job import JobOptions
from schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, DecodedShard, Failure, Recording, Shard
from transforms.audio_file import Levels, mono_blocks, open_source, to_dbfs
from transforms.counters import Counters
from transforms.fetch_audio import fetch_audio
from transforms.isolation import call_isolated, child_processes
from transforms.stays_on_worker import StaysOnWorker

STAGE = "DecodeAudio"
CHUNK_RECORDINGS = 16  # fetched side by side, and decoded by one child, at a time
SAMPLE_BYTES = np.dtype(np.float32).itemsize


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
    """Fetches the recordings side by side and decodes them one after the other; runs in a child process."""
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
            with open(path, "wb") as file:
                for part in held:
                    part.tofile(file)
                held.clear()
                for block in blocks:
                    block.tofile(file)
            return np.memmap(path, dtype=np.float32, mode="r"), path
    return (np.concatenate(held) if held else np.zeros(0, dtype=np.float32)), ""


Decode = Callable[[Sequence[DecodeRequest]], list[DecodedAudio | RowError]]


@beam.typehints.with_input_types(Shard)
@beam.typehints.with_output_types(DecodedShard)
class _DecodeShard(beam.DoFn):
    def __init__(self, options: JobOptions, counters: Counters, decode: Decode):
        self._options, self._counters, self._decode = options, counters, decode

    def setup(self) -> None:
        self._pool = child_processes(self._options.decode_processes or os.cpu_count() or 1)
        # Removed when the worker ends in good order; spilled files have no name left by then in any case.
        self._scratch = tempfile.TemporaryDirectory(prefix="earmark-", dir=self._options.scratch_dir or None)

    def teardown(self) -> None:
        self._scratch.cleanup()

    def process(self, shard: Shard) -> Iterator[DecodedShard]:
        memory_samples = self._options.shard_memory_mb * 2**20 // SAMPLE_BYTES // len(shard.recordings)
        limits = (self._options.max_duration_s, self._options.recording_timeout_s, memory_samples, self._scratch.name)
        requests = [DecodeRequest(recording, *limits) for recording in shard.recordings]
        chunks = [requests[i : i + CHUNK_RECORDINGS] for i in range(0, len(requests), CHUNK_RECORDINGS)]
        # A fetch has its own time limit; this one, for fetching and decoding, is for what cannot be interrupted.
        results = call_isolated(self._pool, self._decode, chunks, 2 * self._options.recording_timeout_s)
        clips: list[Clip] = []
        failures: list[Failure] = []
        for recording, result in zip(shard.recordings, results, strict=True):
            if isinstance(result, RowError):
                failures.append(Failure.of(recording, STAGE, result))
            else:
                clips.append(Clip(recording, _samples(result), result.facts))
        self._counters.add("decoded_recordings", len(clips))
        self._counters.add("decoded_audio_ms", round(1000 * sum(clip.facts.duration_s for clip in clips)))
        yield DecodedShard(shard.key, tuple(clips), tuple(failures))


def _samples(audio: DecodedAudio) -> np.ndarray:
    if not audio.spilled:
        return audio.samples
    samples = np.memmap(audio.spilled, dtype=np.float32, mode="r")
    os.unlink(audio.spilled)  # the mapping keeps the data; nothing is left to clean up, however this process ends
    return samples


class DecodeAudio(beam.PTransform):
    """Shards to DecodedShards; a recording that cannot be decoded becomes a failure of its shard."""

    def __init__(self, options: JobOptions, counters: Counters, decode: Decode = decode_requests):
        super().__init__()
        self._options, self._counters, self._decode = options, counters, decode

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        beam.coders.registry.register_coder(DecodedShard, StaysOnWorker)
        return shards | beam.ParDo(_DecodeShard(self._options, self._counters, self._decode))
