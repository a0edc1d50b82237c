"""Packing recordings into shards of bounded size, the same ones every time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.records import Recording, partition_of
from earmark.transforms.pack_shards import MAX_SHARD_S, count_buckets, pack_bucket

DURATIONS = st.none() | st.floats(0.1, 2 * MAX_SHARD_S)
BUCKETS = st.dictionaries(st.text(max_size=3), DURATIONS, max_size=40).map(
    lambda durations: [Recording(id, "u", duration_s=duration) for id, duration in durations.items()]
)
SHARD_ROWS = st.integers(1, 8)


@given(BUCKETS, SHARD_ROWS)
def test_every_recording_is_in_exactly_one_shard_in_order_of_ids(recordings, shard_rows):
    packed = [
        recording for shard in pack_bucket(recordings, shard_rows, shard_rows, "run") for recording in shard.recordings
    ]
    assert packed == sorted(recordings, key=lambda recording: recording.id)


@given(BUCKETS, SHARD_ROWS)
def test_a_shard_is_bounded_in_rows_and_in_known_seconds(recordings, shard_rows):
    for shard in pack_bucket(recordings, shard_rows, shard_rows, "run"):
        assert 1 <= len(shard.recordings) <= shard_rows
        known_s = math.fsum(recording.duration_s or 0 for recording in shard.recordings)
        assert known_s <= MAX_SHARD_S + 1e-6 or len([r for r in shard.recordings if r.duration_s]) == 1


@given(BUCKETS.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))), SHARD_ROWS)
def test_the_order_of_the_recordings_does_not_matter(orders, shard_rows):
    given_order, shuffled = orders
    assert pack_bucket(given_order, shard_rows, shard_rows, "run") == pack_bucket(
        shuffled, shard_rows, shard_rows, "run"
    )


def test_keys_are_of_the_run_and_of_the_ids():
    def key(ids, run):
        (shard,) = pack_bucket([Recording(id, "u") for id in ids], 9, 9, run)
        return shard.key

    keys = [key(["a", "b"], "1"), key(["a", "b"], "2"), key(["ab"], "1"), key(["a", "c"], "1"), key(["a"], "1b")]
    assert len(set(keys)) == len(keys)
    assert key(["b", "a"], "1") == keys[0]


@pytest.mark.parametrize(
    ("rows", "shard_rows", "workers", "buckets"),
    [
        (0, 256, 4, 1),
        (1, 256, 4, 1),
        (5, 256, 4, 5),  # one recording each, where there are fewer than two a worker
        (100, 256, 4, 8),
        (1025, 256, 4, 9),
        (12_800, 256, 4, 100),
        (9, 3, 1, 6),
        (3, 1, 1, 6),
    ],
)
def test_buckets_are_half_full_and_two_a_worker(rows, shard_rows, workers, buckets):
    assert count_buckets(rows, shard_rows, workers) == buckets


def test_ids_spread_evenly_over_buckets():
    counts = [0] * 16
    for i in range(16_000):
        counts[partition_of(f"corpus/{i:06d}.wav", 16)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
