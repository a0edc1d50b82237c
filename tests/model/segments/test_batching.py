"""Batches of segments of similar length, and halving them when the device runs out of memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.segments.batching import cut_alike, plan_batches, run_with_oom_split
from earmark.schemas.errors import MachineError, RowError

LENGTHS = st.lists(st.integers(1, 50))
BUDGETS = st.integers(1, 200)


@given(LENGTHS, BUDGETS)
def test_every_item_is_in_exactly_one_batch(lengths, budget):
    batches = plan_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))


@given(LENGTHS, BUDGETS)
def test_a_batch_with_its_padding_stays_within_the_budget_unless_it_is_one_item(lengths, budget):
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


@given(LENGTHS, BUDGETS)
def test_the_longest_come_first(lengths, budget):
    order = [lengths[index] for batch in plan_batches(lengths, budget) for index in batch]
    assert order == sorted(lengths, reverse=True)


def test_equal_lengths_fill_batches():
    assert plan_batches([30] * 5, 60) == [[0, 1], [2, 3], [4]]


LONGEST_FIRST = LENGTHS.map(lambda lengths: sorted(lengths, reverse=True))
MOST_PADDING = st.sampled_from([1.0, 1.1, 1.25, 1.5, 2.0, 10.0])


def padded_to_sum(lengths, run):
    """How many times a run's own length it takes with its padding."""
    return len(run) * lengths[run.start] / sum(lengths[run.start : run.stop])


@given(LONGEST_FIRST, MOST_PADDING)
def test_runs_hold_every_length_once_in_order(lengths, most):
    assert [index for run in cut_alike(lengths, most) for index in run] == list(range(len(lengths)))


@given(LONGEST_FIRST, MOST_PADDING)
def test_every_run_stays_within_its_padding_and_would_not_with_one_more(lengths, most):
    runs = cut_alike(lengths, most)
    assert all(len(run) > 0 and padded_to_sum(lengths, run) <= most for run in runs)
    assert all(padded_to_sum(lengths, range(run.start, run.stop + 1)) > most for run in runs[:-1])


def test_lengths_that_are_alike_are_one_run():
    assert cut_alike([10, 10, 9, 5, 5, 1], 1.1) == [range(3), range(3, 5), range(5, 6)]
    assert cut_alike([10, 10, 9, 5, 5, 1], 10.0) == [range(6)]
    assert cut_alike([7], 1.0) == [range(1)]
    assert cut_alike([], 1.25) == []


def device_of(capacity, tried):
    """A device that doubles numbers, at most `capacity` at a time."""

    def run(batch):
        tried.append(len(batch))
        if len(batch) > capacity:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [2 * item for item in batch]

    return run


@given(st.lists(st.integers(), max_size=40), st.integers(1, 8))
def test_a_batch_too_large_for_the_device_is_done_in_parts_in_order(items, capacity):
    assert run_with_oom_split(items, device_of(capacity, [])) == [2 * item for item in items]


def test_a_batch_that_fits_is_done_at_once():
    tried = []
    run_with_oom_split(range(8), device_of(8, tried))
    assert tried == [8]


def test_one_item_too_large_for_the_device_is_that_items_failure():
    results = run_with_oom_split([1, 2, 3], device_of(0, []))
    assert [type(result) for result in results] == [RowError] * 3
    assert {result.error for result in results} == {"out_of_memory"}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED")])
def test_other_out_of_memory_errors_are_recognized(error):
    def run(batch):
        if len(batch) > 1:
            raise error
        return batch

    assert run_with_oom_split([1, 2, 3], run) == [1, 2, 3]


def test_other_errors_of_the_device_are_raised():
    def run(batch):
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(MachineError, match="device-side assert"):
        run_with_oom_split([1, 2], run)
