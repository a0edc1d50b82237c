"""Runs that are killed, duplicated, raced or taken over: each recording is still in the output exactly once."""

import errno
import itertools
import os
import socket
import threading

import pytest

from earmark.pipeline.annotate import run_job
from earmark.pipeline.runner import embedded_options
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import AnnotatedShard, Annotation, AudioFacts, Failure, PartReport, Recording
from earmark.transforms.counters import Counters
from earmark.transforms.output.lease import take_lease
from earmark.transforms.output.store import OutputStore
from earmark.transforms.write_part import write_part
from tests.support.audio import odd_decoders
from tests.support.jobs import (
    annotations,
    failures,
    fake_assignments,
    launched_here,
    run_here,
    transcripts,
    write_manifest,
    write_tone,
    write_tones,
)

pytestmark = pytest.mark.model

TASKS = JobOptions().tasks()
FACTS = AudioFacts(1.0, 16_000, 1, "pcm_16", -20.0, -10.0, 0.0)


class KilledError(BaseException):
    """Simulates the moment at which a process is killed."""


def shard_of(count, text="word"):
    rows = [
        Annotation(Recording(f"id{n}", f"{n}.wav"), FACTS, {"transcribe": Transcript(text, "en", -0.1)})
        for n in range(count)
    ]
    bad = Failure.of(Recording("bad", "bad.wav"), "DecodeAudio", RowError("not_found", "no such file"))
    return AnnotatedShard("ab" * 16, tuple(rows), (bad,))


@pytest.fixture
def store(tmp_path):
    store = OutputStore(str(tmp_path / "out"))
    take_lease(store, "run", take_over=False)
    return store


@pytest.mark.parametrize("step", ["makedirs", "fsync", "link", "unlink"])
@pytest.mark.parametrize("after", [False, True])
def test_a_shard_killed_at_any_step_of_its_write_is_written_once(store, monkeypatch, step, after):
    real = getattr(os, step)

    def cut(*arguments, **named):
        if after:
            real(*arguments, **named)
        raise KilledError

    monkeypatch.setattr(os, step, cut)
    with pytest.raises(KilledError):
        write_part(store, shard_of(3), TASKS, "run", "f")
    monkeypatch.undo()
    for part in store.parts():
        assert store.read_part(part)[0] == ["id0", "id1", "id2"], "what is listed is complete"
    report = write_part(store, shard_of(3), TASKS, "run", "f")
    assert (report.annotated, len(report.failures)) == (3, 1)
    assert [row["id"] for row in annotations(store.root)] == ["id0", "id1", "id2"]


def test_one_of_several_racing_writers_wins_and_all_report_its_part(store):
    barrier = threading.Barrier(8)
    reports: list[PartReport] = []

    def write(number):
        barrier.wait()
        reports.append(write_part(store, shard_of(number + 1, f"writer {number}"), TASKS, "run", "f"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (part,) = store.parts()
    rows = annotations(store.root)
    assert {row["transcribe"]["text"] for row in rows} == {f"writer {len(rows) - 1}"}
    assert {report.annotated for report in reports} == {len(rows)} == {len(store.read_part(part)[0])}


def launched(tmp_path, rows, **options):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", rows))
    return launched_here(manifest, tmp_path / "out", JobOptions(shard_rows=4, **options), 1)


def work(run):
    run_job(run, fake_assignments(run.options), embedded_options(["--direct_num_workers=1"]))


def rows_in(store):
    return sum(len(store.read_part(part)[0]) for part in store.parts())


def test_a_job_restarted_by_its_runner_skips_written_shards(tmp_path, monkeypatch):
    attempts = itertools.count(1)
    real = OutputStore.create

    def third_part_fails(self, path, content):
        if path.startswith("annotations/") and next(attempts) == 3:
            raise OSError(errno.EIO, "the worker dies here")
        return real(self, path, content)

    with launched(tmp_path, rows=24) as run:
        monkeypatch.setattr(OutputStore, "create", third_part_fails)
        with pytest.raises(MachineError, match="the worker dies here"):
            work(run)
        monkeypatch.undo()
        rows_before, decoded_before = rows_in(run.store), Counters(run.run_id).here()["decoded_recordings"]
        assert len(run.store.parts()) == 2
        work(run)
        counts = Counters(run.run_id).here()
    assert counts["skipped_shards"] == 2
    assert counts["decoded_recordings"] - decoded_before == 24 - rows_before
    assert [row["id"] for row in annotations(tmp_path / "out")] == [f"r{number:04d}" for number in range(24)]


def test_a_full_disk_stops_the_job_in_one_line_and_loses_nothing(tmp_path, monkeypatch):
    real, attempts = os.fsync, itertools.count(1)

    def full(descriptor):
        if next(attempts) > 6:  # the job's own files and the first parts still fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    rows = write_tones(tmp_path / "audio", 24)
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"could not be written to .*No space left on device"):
        run_here(manifest, tmp_path / "out", shard_rows=4)
    monkeypatch.undo()
    # The release of the lease could not be written either, and this process, unlike a command's, is still alive.
    assert run_here(manifest, tmp_path / "out", shard_rows=4, take_over=True).adds_up
    assert transcripts(tmp_path / "out") == {row["id"]: row["text"] for row in rows}
    assert list((tmp_path / "out" / "_earmark" / "tmp").iterdir()) == []


def test_a_second_run_is_refused_while_one_is_active(tmp_path):
    with launched(tmp_path, rows=4) as run:
        with pytest.raises(JobError, match=rf"run {run.run_id} .*is writing to .*--take_over"):
            launched(tmp_path, rows=4).__enter__()
        work(run)
    assert len(annotations(tmp_path / "out")) == 4


def test_a_run_that_lost_the_output_writes_nothing(tmp_path):
    with launched(tmp_path, rows=8) as old, launched(tmp_path, rows=8, take_over=True) as new:
        with pytest.raises(MachineError, match=f"run {old.run_id} has lost the output to run {new.run_id}"):
            work(old)
        assert old.store.parts() == []
        work(new)
    assert [row["id"] for row in annotations(tmp_path / "out")] == [f"r{number:04d}" for number in range(8)]
    take_lease(OutputStore(str(tmp_path / "out")), "next", take_over=False)


def test_a_part_of_a_forgotten_worker_is_reported(tmp_path):
    with launched(tmp_path, rows=4) as run:
        run.store.create(OutputStore.part_path("cd" * 16), b"of another run")
        assert not run_job(run, fake_assignments(run.options), embedded_options([])).adds_up


@pytest.mark.parametrize("name", ["segfault", "hang"])
def test_a_recording_that_crashes_or_hangs_the_decoder_fails_alone(tmp_path, name):
    rows = write_tones(tmp_path / "audio", 10)
    bad = write_tone(tmp_path / f"{name}.wav")
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows, {"id": "bad", "audio_filepath": str(bad)}])
    summary = run_here(manifest, tmp_path / "out", decode=odd_decoders.crash_or_hang, recording_timeout_s=1.0)
    assert (summary.annotated, summary.failed, summary.adds_up) == (10, 1, True)
    (failure,) = failures(tmp_path / "out")
    assert (failure["id"], failure["error"]) == ("bad", {"segfault": "crashed", "hang": "timeout"}[name])
    assert transcripts(tmp_path / "out") == {row["id"]: row["text"] for row in rows}


def test_a_recording_whose_fetch_stalls_fails_alone(tmp_path):
    rows = write_tones(tmp_path / "audio", 6)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts connections and never answers
        stalled = {"id": "stalled", "audio_filepath": f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"}
        manifest = write_manifest(tmp_path / "m.jsonl", [*rows, stalled])
        summary = run_here(manifest, tmp_path / "out", recording_timeout_s=1.0)
    assert (summary.annotated, summary.failed, summary.adds_up) == (6, 1, True)
    assert [(failure["id"], failure["error"]) for failure in failures(tmp_path / "out")] == [
        ("stalled", "fetch_timeout")
    ]
