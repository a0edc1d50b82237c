"""What DecodeAudio does with a shard. No Beam: `plan` and `report` decode a few recordings by it, too."""

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
CHUNK_RECORDINGS = 8  # fetched side by side, and decoded by one child, at a time; a hang holds all of them up
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
