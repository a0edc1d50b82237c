"""The summary of a run: counts, unresolved failures, and parts of other runs."""

import dataclasses
import json

from earmark.schemas.records import Failure, PartReport, Recording
from earmark.transforms.output.store import OutputStore
from earmark.transforms.skip_annotated import Done
from earmark.transforms.summarize import duplicates_table, foreign_parts, summarize


def failure(id, error="not_found"):
    return Failure(id, f"{id}.wav", "DecodeAudio", error, "", "run1")


def report(key, annotated, *failed):
    return PartReport(key, annotated, tuple(failure(id) for id in failed))


def summary_of(to_do=0, done=(), reports=(), manifest=(), unresolved=(), duplicates=0):
    return summarize(to_do, done, reports, manifest, unresolved, duplicates)[0]


def test_a_run_that_did_everything_adds_up():
    summary = summary_of(
        to_do=10,
        done=[Done(5, 1), Done(2, 0)],
        reports=iter([report("k1", 6, "a"), report("k2", 2, "b")]),
        manifest=[failure("m:3", "bad_manifest_row")],
        unresolved=[failure("kept")],
        duplicates=4,
    )
    assert summary.adds_up
    assert (summary.planned, summary.annotated, summary.failed) == (19, 8, 3)
    assert (summary.already_annotated, summary.kept_failures, summary.duplicates) == (7, 1, 4)
    assert summary.failures_by_error == {"not_found": 3, "bad_manifest_row": 1}


def test_a_lost_or_an_invented_row_does_not_add_up():
    assert summary_of(to_do=3, reports=[report("k1", 3)]).adds_up
    assert not summary_of(to_do=3, reports=[report("k1", 2)]).adds_up
    assert not summary_of(to_do=3, reports=[report("k1", 3), report("k2", 1)]).adds_up


def test_recordings_that_a_stopped_run_did_not_start_are_counted_and_do_not_add_up():
    summary, _ = summarize(5, [Done(2, 0)], [report("k1", 2, "a")], [], [], 0, not_started=["b", "c"])
    assert (summary.planned, summary.annotated, summary.failed, summary.left, summary.tried) == (7, 2, 1, 2, 3)
    assert summary.is_sound and not summary.adds_up
    assert not dataclasses.replace(summary, annotated=1).is_sound, "a lost row is found in a stopped run too"


def test_an_earlier_failure_stays_if_its_recording_was_not_started_again():
    retried = [failure("a", "earlier"), failure("b", "earlier"), failure("c", "earlier")]
    _, failures = summarize(4, [], [report("k1", 1, "b")], [], [], 0, retried, not_started=["a", "d"])
    assert [(failure.id, failure.error) for failure in failures] == [("a", "earlier"), ("b", "not_found")]


def test_a_shard_that_was_reported_twice_counts_once():
    summary = summary_of(to_do=3, reports=[report("k1", 2, "a"), report("k1", 2, "a")])
    assert summary.adds_up
    assert summary.failures_by_error == {"not_found": 1}


def test_an_output_that_has_an_id_twice_does_not_add_up_and_names_the_first_ids():
    done = [Done(1, 0, 7, tuple("hijklmn")), Done(2, 0), Done(0, 0, 6, tuple("abcdef"))]
    summary = summary_of(done=done)
    assert not summary.adds_up
    assert (summary.doubled, summary.doubled_ids) == (13, tuple("abcdefhijk"))


def test_unresolved_failures_are_listed_by_id_in_any_order_of_arrival():
    manifest, unresolved, reports = [failure("c")], [failure("d"), failure("a", "x")], [report("k", 0, "e", "b")]
    _, failures = summarize(2, [], reports, manifest, unresolved, 0)
    assert [failure.id for failure in failures] == list("abcde")


def test_equal_counts_of_errors_are_in_the_same_order_every_time():
    failures = [failure("a", "x"), failure("b", "y")]
    orders = {tuple(summary_of(unresolved=order).failures_by_error) for order in (failures, failures[::-1])}
    assert len(orders) == 1


def test_a_part_of_neither_this_run_nor_an_earlier_one_is_foreign(tmp_path):
    store = OutputStore(str(tmp_path))
    for key in ("old", "mine", "stray"):
        store.create(store.part_path(key), b"")
    store.create("snapshot", f"{store.part_path('old')}\n".encode())
    parts = foreign_parts(store, "snapshot", ["mine"])
    assert parts == (store.part_path("stray"),)
    assert not dataclasses.replace(summary_of(), foreign_parts=parts).adds_up


def test_duplicates_are_listed_as_they_were_read():
    row = Recording("a", "a.wav", offset_s=1.5, extra=(("note", "é"),))
    (listed,) = duplicates_table([row]).to_pylist()
    assert (listed["id"], listed["uri"]) == ("a", "a.wav")
    assert json.loads(listed["row"])["offset_s"] == 1.5
    assert json.loads(listed["row"])["extra"] == [["note", "é"]]
