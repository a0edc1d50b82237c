"""Skipping recordings that are annotated, duplicated or failed before."""

from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.records import Failure, Recording
from earmark.transforms.skip_annotated import skip_annotated

IDS = st.sampled_from("abcde")
ROWS = st.lists(st.builds(Recording, id=IDS, uri=st.sampled_from(["u", "v"]), offset_s=st.sampled_from([0.0, 1.5])))
FAILURES = st.lists(
    st.builds(Failure, IDS, st.just("u"), st.just("Decode"), st.sampled_from("xy"), st.just(""), st.sampled_from("12"))
)
INPUTS = st.tuples(ROWS, st.lists(IDS), FAILURES)
SHUFFLED = INPUTS.flatmap(lambda inputs: st.tuples(st.just(inputs), st.tuples(*map(st.permutations, inputs))))


def failure(id, run_id, error="not_found"):
    return Failure(id, f"{id}.wav", "DecodeAudio", error, "", run_id)


def recordings(ids):
    return [Recording(id, f"{id}.wav") for id in ids]


def ids(rows):
    return "".join(row.id for row in rows)


@given(SHUFFLED, st.booleans())
def test_the_order_of_rows_parts_and_failures_does_not_matter(inputs, keep_failures):
    given_order, shuffled = inputs
    assert skip_annotated(*given_order, keep_failures) == skip_annotated(*shuffled, keep_failures)


@given(INPUTS, st.booleans())
def test_every_row_is_pending_done_kept_or_a_duplicate(inputs, keep_failures):
    rows, annotated, failures = inputs
    partition = skip_annotated(rows, annotated, failures, keep_failures)
    assert (
        len(rows)
        == len(partition.pending) + len(partition.duplicates) + partition.done.annotated + partition.done.kept_failures
    )
    pending = {recording.id for recording in partition.pending}
    assert len(pending) == len(partition.pending)
    assert not pending & set(annotated)
    unresolved = {failure.id for failure in partition.unresolved}
    assert unresolved == {failure.id for failure in failures} - set(annotated) - pending
    assert {failure.id for failure in partition.retried} == {failure.id for failure in failures} - set(
        annotated
    ) - unresolved


def test_annotated_recordings_are_not_pending():
    partition = skip_annotated(recordings("abc"), ["b", "elsewhere"], [], keep_failures=False)
    assert (ids(partition.pending), partition.done.annotated) == ("ac", 1)


def test_the_row_with_the_smallest_uri_then_offset_then_channel_is_canonical():
    best = Recording("a", "1.wav", 0.5, channel=0)
    worse = [
        Recording("a", "1.wav", 0.5, channel=1),
        Recording("a", "1.wav", 2.0),
        Recording("a", "2.wav"),
    ]
    partition = skip_annotated([worse[2], worse[0], best, worse[1]], [], [], keep_failures=False)
    assert partition.pending == (best,)
    assert sorted(partition.duplicates, key=repr) == sorted(worse, key=repr)


def test_equal_rows_are_duplicates_of_each_other():
    partition = skip_annotated(recordings("aaa"), [], [], keep_failures=False)
    assert (ids(partition.pending), ids(partition.duplicates)) == ("a", "aa")


def test_failures_are_retried_without_keep_failures():
    earlier = [failure("a", "1"), failure("z", "1")]
    retried = skip_annotated(recordings("ab"), [], earlier, keep_failures=False)
    assert (ids(retried.pending), ids(retried.unresolved), retried.done.kept_failures) == ("ab", "z", 0)
    kept = skip_annotated(recordings("ab"), [], earlier, keep_failures=True)
    assert (ids(kept.pending), ids(kept.unresolved), kept.done.kept_failures) == ("b", "az", 1)


def test_the_latest_failure_of_an_id_counts():
    earlier = [failure("z", "20261122T2", "late"), failure("z", "20261122T1", "early")]
    (unresolved,) = skip_annotated([], [], earlier, keep_failures=False).unresolved
    assert unresolved.error == "late"


def test_an_id_that_failed_and_is_annotated_elsewhere_is_annotated():
    partition = skip_annotated(recordings("a"), ["a"], [failure("a", "9")], keep_failures=True)
    assert (partition.pending, partition.unresolved, partition.done.annotated, partition.done.kept_failures) == (
        (),
        (),
        1,
        0,
    )


def test_ids_that_are_annotated_several_times_are_counted_and_the_first_are_named():
    once, twice = [f"once{i}" for i in range(3)], [f"twice{i:02d}" for i in range(12)]
    done = skip_annotated(recordings(["twice00"]), iter([*once, *twice, *twice, "twice00"]), [], False).done
    assert (done.annotated, done.duplicate_annotations, done.duplicated_ids) == (1, 13, tuple(twice[:10]))
    assert skip_annotated([], once, [], keep_failures=False).done.duplicate_annotations == 0
