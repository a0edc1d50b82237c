"""PackShards: packs recordings into shards, planned from the manifest alone."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam

from earmark.schemas.records import Recording, Shard, partition_of, stable_hash
from earmark.transforms.counters import Counters

MAX_SHARD_S = 30 * 60.0  # of audio, where durations are known
MAX_SHARD_BYTES = 512 * 2**20  # of audio in containers, which is on a worker's disk until it is decoded


def count_buckets(rows: int, shard_rows: int, workers: int) -> int:
    """Number of buckets for `rows` recordings: half full on average, and at least two per worker if rows allow."""
    return max(1, math.ceil(2 * rows / shard_rows), min(rows, 2 * workers))


def bucket_of(recording: Recording, buckets: int) -> tuple[bool, int]:
    """Bucket of a recording: by its id, or with its neighbours in a container, apart from recordings in own files."""
    if recording.location is None:
        return False, partition_of(recording.id, buckets)
    piece, _ = recording.location.position
    return True, partition_of(f"{recording.location.container}#{piece}", buckets)


def fill_rows(rows: int, shard_rows: int, workers: int) -> int:
    """Number of recordings of containers that fill a shard: fewer if there would not be two shards per worker."""
    return max(1, min(shard_rows, rows // (2 * workers)))


def pack_bucket(recordings: Iterable[Recording], shard_rows: int, fill_rows: int, run_id: str) -> list[Shard]:
    """Cut a bucket's recordings, in order, into shards of limited rows, seconds and bytes.

    They are ordered by location, so that a shard reads a container in one go, or else by id. A row group of a Parquet
    file can only be read whole, so it is kept together, and only cut if it is larger than a shard.

    Args:
        shard_rows: Largest number of recordings in a shard.
        fill_rows: Number of recordings from which a shard takes no further row group.
        run_id: Id of the run, which goes into the shards' keys, so that a later run that tries the same failures again
            does not find its shards done.
    """
    shards: list[list[Recording]] = []
    load = _Load()
    for _, group in itertools.groupby(sorted(recordings, key=_order), key=_read_together):
        together = list(group)
        group_load = _Load.of(together)
        fits = group_load.fits(shard_rows)
        for number, added in enumerate([together] if fits else [[recording] for recording in together]):
            more = group_load if fits else _Load.of(added)
            grown = load.with_more(more)
            full = number == 0 and (not fits or load.rows >= fill_rows)
            if not shards or full or not grown.fits(shard_rows):
                shards.append([])
                grown = more
            shards[-1] += added
            load = grown
    return [Shard(_key(shard, run_id), tuple(shard)) for shard in shards]


@dataclass(slots=True)
class _Load:
    """Size of a shard, as far as it is known before decoding."""

    rows: int = 0
    seconds: float = 0.0
    container_bytes: int = 0

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> "_Load":
        seconds, container_bytes = 0.0, 0
        for recording in recordings:
            seconds += recording.duration_s or 0.0
            container_bytes += recording.location.size_bytes if recording.location else 0
        return cls(len(recordings), seconds, container_bytes)

    def with_more(self, more: "_Load") -> "_Load":
        return _Load(self.rows + more.rows, self.seconds + more.seconds, self.container_bytes + more.container_bytes)

    def fits(self, shard_rows: int) -> bool:
        return self.rows <= shard_rows and self.seconds <= MAX_SHARD_S and self.container_bytes <= MAX_SHARD_BYTES


def _order(recording: Recording) -> tuple[str, tuple[int, int], str]:
    location = recording.location
    return (location.container, location.position, recording.id) if location else ("", (0, 0), recording.id)


def _read_together(recording: Recording) -> tuple[str, int] | str:
    """The piece of a container that is read as a whole, such as a row group; any other recording stays alone."""
    location = recording.location
    if location is None or location.read_unit is None:
        return recording.id
    return location.container, location.read_unit


def _key(recordings: Sequence[Recording], run_id: str) -> str:
    return stable_hash(run_id, *(recording.id for recording in recordings))


class _PackBucket(beam.DoFn):
    def __init__(self, shard_rows: int, workers: int, run_id: str, counters: Counters):
        self._shard_rows, self._workers, self._run_id, self._counters = shard_rows, workers, run_id, counters

    def process(self, bucket: tuple[tuple[bool, int], Iterable[Recording]], rows: int) -> Iterator[Shard]:
        (contained, _), recordings = bucket
        fill = fill_rows(rows, self._shard_rows, self._workers) if contained else self._shard_rows
        shards = pack_bucket(recordings, self._shard_rows, fill, self._run_id)
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

        def key(recording: Recording, rows: int) -> tuple[tuple[bool, int], Recording]:
            return bucket_of(recording, count_buckets(rows, shard_rows, workers)), recording

        rows = beam.pvalue.AsSingleton(recordings | "CountRows" >> beam.combiners.Count.Globally())
        return (
            recordings
            | "KeyByBucket" >> beam.Map(key, rows=rows)
            | beam.GroupByKey()
            | "PackBucket" >> beam.ParDo(_PackBucket(shard_rows, workers, self._run_id, self._counters), rows=rows)
            | "SpreadShards" >> beam.Reshuffle()
        )
