"""PackShards: recordings in shards, planned from the manifest alone."""

import math
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam

from schemas.records import Recording, Shard, partition_of, stable_hash
from transforms.counters import Counters

MAX_SHARD_S = 30 * 60.0  # of audio, where durations are known


def count_buckets(rows: int, shard_rows: int, workers: int) -> int:
    """How many buckets so many recordings go to: half full on average, and at least two a worker where rows allow."""
    return max(1, math.ceil(2 * rows / shard_rows), min(rows, 2 * workers))


def pack_bucket(recordings: Iterable[Recording], shard_rows: int, salt: str) -> list[Shard]:
    """A bucket's recordings, in order of their ids, cut where a shard would have too many rows or seconds.

    Args:
        salt: goes into the shards' keys; the run, so that a later run that tries the same failures again does not
            find them done.
    """
    shards: list[list[Recording]] = []
    seconds = 0.0
    for recording in sorted(recordings, key=lambda recording: recording.id):
        added_s = recording.duration_s or 0.0
        if not shards or len(shards[-1]) == shard_rows or seconds + added_s > MAX_SHARD_S:
            shards.append([])
            seconds = 0.0
        shards[-1].append(recording)
        seconds += added_s
    return [Shard(_key(shard, salt), tuple(shard)) for shard in shards]


def _key(recordings: Sequence[Recording], salt: str) -> str:
    return stable_hash(salt, *(recording.id for recording in recordings))


class _PackBucket(beam.DoFn):
    def __init__(self, shard_rows: int, salt: str, counters: Counters):
        self._shard_rows, self._salt, self._counters = shard_rows, salt, counters

    def process(self, bucket: tuple[int, Iterable[Recording]]) -> Iterator[Shard]:
        shards = pack_bucket(bucket[1], self._shard_rows, self._salt)
        self._counters.add("planned_shards", len(shards))
        self._counters.add("planned_recordings", sum(len(shard.recordings) for shard in shards))
        yield from shards


@beam.typehints.with_output_types(Shard)
class PackShards(beam.PTransform):
    """Recordings, each id once, to Shards that are spread over the workers."""

    def __init__(self, shard_rows: int, workers: int, run_id: str, counters: Counters):
        super().__init__()
        self._shard_rows, self._workers, self._run_id, self._counters = shard_rows, workers, run_id, counters

    def expand(self, recordings: beam.PCollection) -> beam.PCollection:
        shard_rows, workers = self._shard_rows, self._workers

        def key(recording: Recording, rows: int) -> tuple[int, Recording]:
            return partition_of(recording.id, count_buckets(rows, shard_rows, workers)), recording

        rows = beam.pvalue.AsSingleton(recordings | "CountRows" >> beam.combiners.Count.Globally())
        return (
            recordings
            | "KeyByBucket" >> beam.Map(key, rows=rows)
            | beam.GroupByKey()
            | "PackBucket" >> beam.ParDo(_PackBucket(shard_rows, self._run_id, self._counters))
            | "SpreadShards" >> beam.Reshuffle()
        )
