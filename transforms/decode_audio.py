"""DecodeAudio: fetches and decodes the recordings of a shard to clips, in child processes."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import psutil

from earmark.schemas.errors import MachineError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import DecodedShard, Shard
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.audio.isolation import child_processes
from earmark.transforms.counters import NO_RUN, Counters
from earmark.transforms.decode_shard import Decode, decode_shard
from earmark.transforms.shard_stage import ShardStage
from earmark.transforms.stays_on_worker import StaysOnWorker


@beam.typehints.with_input_types(Shard)
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


@contextmanager
def scratch_folder(parent: str) -> Iterator[str]:
    """A folder for the files of one shard, named after this process, and removed afterwards with everything in it.

    Only a killed process leaves it behind; remove_leftovers() of the next process removes it.

    Args:
        parent: Folder in which it is made, as --scratch_dir; "" for the system's.
    """
    try:
        folder = tempfile.mkdtemp(prefix=f"earmark-{os.getpid()}-{socket.gethostname()}-", dir=parent or None)
    except OSError as error:
        raise MachineError(f"no folder can be made in the --scratch_dir {parent!r}: {error}") from error
    try:
        yield folder
    finally:
        # A child that is being stopped may still write into it; then it stays, as a leftover.
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: str) -> None:
    """Remove the scratch folders of processes of this host that no longer exist."""
    for folder in Path(parent or tempfile.gettempdir()).glob("earmark-*-*-*"):
        pid = folder.name.rpartition("-")[0].removeprefix("earmark-").removesuffix(f"-{socket.gethostname()}")
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)  # of another user, or removed by another worker


class DecodeAudio(ShardStage):
    """Shards to DecodedShards; a recording that cannot be decoded becomes a failure of its shard.

    Example:
        `pipeline | beam.Create([Shard("calls", (Recording("a", "a.wav"),))]) | DecodeAudio(JobOptions())`
    """

    def __init__(self, options: JobOptions, counters: Counters = NO_RUN, decode: Decode = decode_requests):
        super().__init__(_DecodeShard(options, counters, decode), DecodedShard)

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        beam.coders.registry.register_coder(DecodedShard, StaysOnWorker)
        return super().expand(shards)
