"""The sample of recordings that a plan looks at."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from earmark.pipeline.plan.sample import Reservoir
from earmark.schemas.records import Recording


def sampled(ids, size, seed=0):
    reservoir = Reservoir(size, seed)
    for id in ids:
        reservoir.offer([Recording(id, "u")])
    return [recording.id for recording in reservoir.sample()]


ids = st.lists(st.text(max_size=4), unique=True, max_size=40)


@given(ids, st.integers(0, 50), st.integers(0, 3), st.randoms())
def test_the_sample_does_not_depend_on_the_order_of_recordings(ids, size, seed, random):
    shuffled = random.sample(ids, len(ids))
    sample = sampled(ids, size, seed)
    assert sampled(shuffled, size, seed) == sample
    assert len(sample) == len(set(sample)) == min(size, len(ids))
    assert set(sample) <= set(ids)


@given(ids, st.integers(0, 20), st.integers(0, 20))
def test_the_start_of_a_sample_is_the_smaller_sample(ids, size, more):
    assert sampled(ids, size + more)[:size] == sampled(ids, size)


@given(ids, ids, st.integers(1, 20))
def test_a_manifest_that_has_grown_only_replaces_recordings(ids, added, size):
    grown = list(dict.fromkeys([*ids, *added]))
    assert set(sampled(grown, size)) & set(ids) <= set(sampled(ids, size))


def test_every_recording_is_equally_likely_for_any_seed():
    ids = [f"recording-{number:04d}" for number in range(20)]
    drawn = Counter(id for seed in range(2000) for id in sampled(ids, 5, seed))
    # 2000 draws of 5 of 20: 500 of each, with a standard deviation of 19.4.
    assert all(abs(drawn[id] - 500) < 5 * 19.4 for id in ids)
    assert sampled(ids, 5, 1) != sampled(ids, 5, 2)
