"""Decodes a shard. Does not import Beam: `plan` and `report` use it as well."""

from collections.abc import Callable, Sequence

import numpy as np
from pebble import ProcessPool

from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Clip, DecodedShard, Failure, Shard
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from earmark.transforms.audio.isolation import call_isolated
from earmark.transforms.containers.unpack_containers import unpack_containers, unpack_requests

STAGE = "DecodeAudio"
CHUNK_RECORDINGS = 8  # fetched in parallel, and decoded by one child; a recording that hangs delays its chunk
SAMPLE_BYTES = np.dtype(np.float32).itemsize

Decode = Callable[[Sequence[DecodeRequest]], list[DecodedAudio | RowError]]


def decode_shard(
    shard: Shard,
    options: JobOptions,
    pool: ProcessPool,
    scratch: str,
    decode: Decode = decode_requests,
    chunk_recordings: int = CHUNK_RECORDINGS,
) -> DecodedShard:
    """Decode the shard's recordings to clips, or to failures if they cannot be fetched or decoded.

    Args:
        pool: Child processes that fetch and decode.
        scratch: Folder for audio from containers, and for audio longer than its share of --shard_memory_mb.
        chunk_recordings: Number of recordings that one child works on at a time.

    Raises:
        MachineError: The machine is at fault, not a recording, such as for a full disk.
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
