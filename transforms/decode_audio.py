"""DecodeAudio: from the recordings of a shard to clips, fetched and decoded in child processes."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import numpy as np
import psutil
from pebble import ProcessPool

from schemas.errors import MachineError, RowError
from schemas.job import JobOptions
from schemas.records import Clip, DecodedShard, Failure, Shard
from transforms.counters import Counters
from transforms.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from transforms.isolation import call_isolated, child_processes
from transforms.stays_on_worker import StaysOnWorker
from transforms.unpack_containers import unpack_containers, unpack_requests

STAGE = "DecodeAudio"
CHUNK_RECORDINGS = 8  # fetched side by side, and decoded by one child, at a time; a hang holds all of them up
SAMPLE_BYTES = np.dtype(np.float32).itemsize


Decode = Callable[[Sequence[DecodeRequest]], list[DecodedAudio | RowError]]


@beam.typehints.with_input_types(Shard)
@beam.typehints.with_output_types(DecodedShard)
class _DecodeShard(beam.DoFn):
    def __init__(self, options: JobOptions, counters: Counters, decode: Decode):
        self._options, self._counters, self._decode = options, counters, decode

    def setup(self) -> None:
        self._pool = child_processes(self._options.decode_processes or os.cpu_count() or 1)
        remove_leftovers(self._options.scratch_dir)

    def process(self, shard: Shard) -> Iterator[DecodedShard]:
        with scratch_folder(self._options.scratch_dir) as scratch, self._counters.time("decoding_ms"):
            decoded = decode_shard(shard, self._options, self._pool, scratch, self._decode)
        self._counters.add("decoded_recordings", len(decoded.clips))
        self._counters.add("decoded_audio_ms", round(1000 * sum(clip.facts.duration_s for clip in decoded.clips)))
        yield decoded


def decode_shard(
    shard: Shard,
    options: JobOptions,
    pool: ProcessPool,
    scratch: str,
    decode: Decode = decode_requests,
    chunk_recordings: int = CHUNK_RECORDINGS,
) -> DecodedShard:
    """The shard's recordings as clips, or as failures where they cannot be fetched or decoded.

    Args:
        pool: the children that fetch and decode.
        scratch: folder for what comes out of containers or is longer than its share of --shard_memory_mb.
        chunk_recordings: how many one child works on at a time.

    Raises:
        MachineError: no recording is to blame, such as for a full disk.
    """
    memory_samples = options.shard_memory_mb * 2**20 // SAMPLE_BYTES // len(shard.recordings)
    limits = (options.max_duration_s, options.recording_timeout_s, memory_samples, scratch)
    unpacked = _unpack(shard, options, pool, scratch)
    requests = [
        DecodeRequest(recording, *limits, path)
        for index, recording in enumerate(shard.recordings)
        if not isinstance(path := unpacked.get(index, ""), RowError)
    ]
    chunks = [requests[i : i + chunk_recordings] for i in range(0, len(requests), chunk_recordings)]
    decoded = call_isolated(pool, decode, chunks, options.recording_timeout_s)
    clips: list[Clip] = []
    failures: list[Failure] = []
    for index, recording in enumerate(shard.recordings):
        error = unpacked.get(index)
        result = error if isinstance(error, RowError) else next(decoded)
        if isinstance(result, RowError):
            failures.append(Failure.of(recording, STAGE, result))
        else:
            clips.append(Clip(recording, _samples(result), result.facts))
    return DecodedShard(shard.key, tuple(clips), tuple(failures))


def _unpack(shard: Shard, options: JobOptions, pool: ProcessPool, scratch: str) -> dict[int, str | RowError]:
    """The files of those recordings that lie in containers, by their index in the shard."""
    requests = unpack_requests(shard.recordings, scratch)
    chunks = [[request] for request in requests]
    results = call_isolated(pool, unpack_containers, chunks, options.recording_timeout_s)
    unpacked: dict[int, str | RowError] = {}
    for request, result in zip(requests, results, strict=True):
        paths = [result] * len(request.indices) if isinstance(result, RowError) else result
        unpacked |= zip(request.indices, paths, strict=True)
    return unpacked


def _samples(audio: DecodedAudio) -> np.ndarray:
    if not audio.spilled:
        return audio.samples
    return np.memmap(audio.spilled, dtype=np.float32, mode="r")  # keeps the data when the file's name is removed


@contextmanager
def scratch_folder(parent: str) -> Iterator[str]:
    """A folder for the files of one shard, named after this process; gone with all in it afterwards, however it ends.

    Only a process that is killed leaves it behind, to remove_leftovers of the next one. `parent`: as --scratch_dir.
    """
    try:
        folder = tempfile.mkdtemp(prefix=f"earmark-{os.getpid()}-{socket.gethostname()}-", dir=parent or None)
    except OSError as error:
        raise MachineError(f"no folder can be made in the --scratch_dir {parent!r}: {error}") from error
    try:
        yield folder
    finally:
        # A child that is being stopped may still write into it: what then stays is a leftover.
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: str) -> None:
    """Removes the scratch folders of processes of this host that are no more."""
    for folder in Path(parent or tempfile.gettempdir()).glob("earmark-*-*-*"):
        pid = folder.name.rpartition("-")[0].removeprefix("earmark-").removesuffix(f"-{socket.gethostname()}")
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)  # it may be another user's, or another worker removes it too


class DecodeAudio(beam.PTransform):
    """Shards to DecodedShards; a recording that cannot be decoded becomes a failure of its shard."""

    def __init__(self, options: JobOptions, counters: Counters, decode: Decode = decode_requests):
        super().__init__()
        self._options, self._counters, self._decode = options, counters, decode

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        beam.coders.registry.register_coder(DecodedShard, StaysOnWorker)
        return shards | beam.ParDo(_DecodeShard(self._options, self._counters, self._decode))
