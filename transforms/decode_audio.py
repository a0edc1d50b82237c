"""DecodeAudio: from the recordings of a shard to clips, fetched and decoded in child processes."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
import numpy as np

from schemas.errors import RowError
from schemas.job import JobOptions
from schemas.records import Clip, DecodedShard, Failure, Shard
from transforms.counters import Counters
from transforms.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from transforms.isolation import call_isolated, child_processes
from transforms.stays_on_worker import StaysOnWorker

STAGE = "DecodeAudio"
CHUNK_RECORDINGS = 16  # fetched side by side, and decoded by one child, at a time
SAMPLE_BYTES = np.dtype(np.float32).itemsize


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
