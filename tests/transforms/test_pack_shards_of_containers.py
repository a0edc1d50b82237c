"""How recordings of containers are spread over shards: by location, so that little is read twice."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.locations import TAR_PIECE_BYTES, ParquetLocation, TarLocation
from earmark.schemas.records import Recording
from earmark.transforms.pack_shards import (
    MAX_SHARD_BYTES,
    MAX_SHARD_S,
    bucket_of,
    count_buckets,
    fill_rows,
    pack_bucket,
)

SHARD_ROWS = 256
WORKERS = 4


def in_tar(tar, count, size_bytes=200_000):
    return [
        Recording(f"{tar}/{n}", "u", location=TarLocation(tar, "v", 512 + n * (size_bytes + 512), size_bytes, ".wav"))
        for n in range(count)
    ]


def in_parquet(file, group_rows, size_bytes=200_000):
    return [
        Recording(
            f"{file}/{group}/{row}", "u", location=ParquetLocation(file, "v", "audio", group, row, size_bytes, "")
        )
        for group, rows in enumerate(group_rows)
        for row in range(rows)
    ]


def pack(recordings, shard_rows=SHARD_ROWS, workers=WORKERS):
    """The shards of all buckets, as PackShards makes them, and the sizes of the buckets."""
    rows = len(recordings)
    count, fill = count_buckets(rows, shard_rows, workers), fill_rows(rows, shard_rows, workers)
    buckets = {}
    for recording in recordings:
        buckets.setdefault(bucket_of(recording, count), []).append(recording)
    shards = [
        shard
        for (contained, _), bucket in sorted(buckets.items())
        for shard in pack_bucket(bucket, shard_rows, fill if contained else shard_rows, "run")
    ]
    return shards, [len(bucket) for bucket in buckets.values()]


DURATIONS = st.none() | st.floats(0.1, 2 * MAX_SHARD_S)
SIZES = st.integers(0, MAX_SHARD_BYTES * 2)
TAR = st.builds(in_tar, st.sampled_from("abc"), st.integers(0, 12), SIZES)
PARQUET = st.builds(in_parquet, st.sampled_from("de"), st.lists(st.integers(1, 12), max_size=5), SIZES)
PLAIN = st.lists(st.builds(Recording, st.text(max_size=3), st.just("u")), max_size=10)


@st.composite
def manifests(draw):
    """Recordings of any kinds, each id once, some with durations."""
    by_id = {row.id: row for rows in draw(st.lists(TAR | PARQUET | PLAIN, max_size=5)) for row in rows}
    return [dataclasses.replace(row, duration_s=draw(DURATIONS)) for row in by_id.values()]


@given(manifests(), st.integers(1, 8), st.integers(1, 4))
def test_every_recording_is_in_exactly_one_shard_within_its_bounds(recordings, shard_rows, workers):
    shards, _ = pack(recordings, shard_rows, workers)
    assert Counter(r for shard in shards for r in shard.recordings) == Counter(recordings)
    for shard in shards:
        assert 1 <= len(shard.recordings) <= shard_rows
        if len(shard.recordings) > 1:
            assert sum(r.location.size_bytes for r in shard.recordings if r.location) <= MAX_SHARD_BYTES
            assert sum(r.duration_s or 0 for r in shard.recordings) <= MAX_SHARD_S + 1e-6
        positions = [(r.location.container, r.location.position) for r in shard.recordings if r.location]
        assert positions == sorted(positions)
        assert len(positions) in (0, len(shard.recordings)), "a shard is of containers or of files"


@given(manifests().flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))), st.integers(1, 8))
def test_the_order_of_the_manifest_does_not_matter(orders, shard_rows):
    assert pack(orders[0], shard_rows) == (
        pack(orders[1], shard_rows)[0],
        pytest.approx(pack(orders[0], shard_rows)[1]),
    )


@given(st.lists(st.integers(1, 12), max_size=8), st.integers(1, 12), st.integers(1, 12))
def test_a_row_group_is_read_by_one_shard_unless_it_is_larger_than_one(group_rows, shard_rows, workers):
    shards, _ = pack(in_parquet("a", group_rows), shard_rows, workers)
    readers = Counter(group for shard in shards for group in {r.location.row_group for r in shard.recordings})
    assert readers == {group: -(-rows // shard_rows) for group, rows in enumerate(group_rows)}


def test_a_tar_of_a_million_rows_is_spread_over_buckets_and_read_at_a_stretch():
    recordings = in_tar("large", 1_000_000 // 10, size_bytes=50_000)  # a tenth, for time
    shards, buckets = pack(recordings)
    assert max(buckets) < 10 * TAR_PIECE_BYTES / 50_000
    assert len(buckets) > 2 * WORKERS
    stretches = sum(
        1
        + sum(
            b.location.start - a.location.start > 60_000 for a, b in zip(s.recordings, s.recordings[1:], strict=False)
        )
        for s in shards
    )
    assert stretches < 2 * len(shards)
    assert len(shards) < 1.3 * len(recordings) / SHARD_ROWS


def test_a_small_tar_gives_work_to_all_workers():
    shards, _ = pack(in_tar("small", 100))
    assert len(shards) >= 2 * WORKERS
    assert max(len(shard.recordings) for shard in shards) <= 100 / 2 / WORKERS


def test_many_small_tars_share_shards():
    recordings = [row for number in range(500) for row in in_tar(f"{number}.tar", 10)]
    shards, _ = pack(recordings)
    assert len(shards) < 3 * len(recordings) / SHARD_ROWS
    assert all(len({r.location.container for r in shard.recordings}) <= 30 for shard in shards)
