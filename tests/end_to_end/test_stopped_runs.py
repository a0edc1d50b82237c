"""Ctrl-C and SIGTERM, as real processes get them: the first waits for the shards in hand, the second for nothing."""

import functools
import itertools
import json
import os
import signal
import subprocess
import time

import pytest

from earmark.pipeline.annotate import run_job
from earmark.pipeline.runner import embedded_options
from earmark.schemas.job import JobOptions
from earmark.transforms.annotate import Assignment
from earmark.transforms.output.lease import take_lease
from earmark.transforms.output.store import OutputStore
from earmark.transforms.stop_request import StopRequest
from tests.support import gated_job
from tests.support.gated_job import LOG, MODEL, gated_command
from tests.support.jobs import (
    ListeningEngine,
    annotations,
    failures,
    launched_here,
    run_here,
    write_manifest,
    write_tones,
)

MANIFEST = "m.jsonl"
ROWS = 40
WRITTEN_FIRST = 3  # shards, before the others are held up
WORKERS = 2
AT_ONCE_S = 5.0  # on a machine that does other things
DEADLINE_S = 120
STOPPING = (
    "stopping after the shards in flight (about 2); press Ctrl-C again to stop at once; run the same command again"
)
STOPPED = "earmark: stopped; finished work is saved, run the same command again to resume"
IDS = [f"r{number:04d}" for number in range(ROWS)]


class Job:
    """A gated job in a process of its own, which leads a process group."""

    def __init__(self, folder, *options):
        self.output, self._folder, self._said = folder / "out", folder, folder / "said"
        arguments = (folder / MANIFEST, self.output, "--shard_rows", 4, f"--direct_num_workers={WORKERS}", *options)
        with open(self._said, "wb") as said:
            self.process = subprocess.Popen(
                gated_command(folder, *arguments),
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    @property
    def said(self):
        return self._said.read_text()

    def wait(self, timeout_s=DEADLINE_S):
        return self.process.wait(timeout_s)

    def wait_until_said(self, text):
        self.wait_until(lambda: text in self.said)

    def wait_until_logged(self, what, count):
        self.wait_until(lambda: len(logged(self._folder, what)) >= count)

    def wait_until(self, is_so):
        deadline = time.monotonic() + DEADLINE_S
        while not is_so():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def logged(folder, what):
    log = folder / LOG
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [name for kind, name in lines if kind == what]


@pytest.fixture
def start(tmp_path):
    write_manifest(tmp_path / MANIFEST, write_tones(tmp_path / "audio", ROWS))
    jobs: list[Job] = []

    def start(*options, **gates):
        """A job with gates closed that let so many through."""
        for gate, count in gates.items():
            (tmp_path / gate).write_text(str(count))
        jobs.append(Job(tmp_path, *options))
        return jobs[-1]

    yield start
    for job in jobs:
        job.end()


def summary_of(output):
    """Of the latest run that has written one."""
    return dict(json.loads(max(output.glob("_earmark/runs/*/summary.json")).read_text()))


def parts(output):
    return len(list(output.glob("annotations/*/*.parquet")))


def take_and_let_go(output):
    """Fails where the lease on the output is still held."""
    with take_lease(OutputStore(str(output)), "another", take_over=False):
        pass


def run_in_this_process(folder):
    """The job as its command runs it, but for the process."""
    decode = functools.partial(gated_job.decode, str(folder))
    return run_here(folder / MANIFEST, folder / "out", decode, WORKERS, shard_rows=4, model=(MODEL,))


def stopped_in_the_middle(start):
    """A job that has written WRITTEN_FIRST shards, and whose threads each have another in hand."""
    job: Job = start(annotating=WRITTEN_FIRST)
    job.wait_until_logged("call", WRITTEN_FIRST + WORKERS)
    job.wait_until(lambda: parts(job.output) == WRITTEN_FIRST)
    return job


def test_the_first_ctrl_c_lets_the_shards_in_hand_be_written_and_the_same_command_goes_on(tmp_path, start):
    job = stopped_in_the_middle(start)
    job.process.send_signal(signal.SIGINT)
    job.wait_until_said(STOPPING)
    (tmp_path / "annotating").unlink()
    assert job.wait() == 130
    assert job.said.splitlines()[-1] == STOPPED
    assert parts(job.output) == WRITTEN_FIRST + WORKERS
    written = [row["id"] for row in annotations(job.output)]
    assert sorted(logged(tmp_path, "annotating")) == sorted(logged(tmp_path, "decoded")) == written
    summary = summary_of(job.output)
    assert (summary["annotated"], summary["left"], summary["adds_up"]) == (len(written), ROWS - len(written), False)
    assert f"not started        {ROWS - len(written)}" in job.said and "do not add up" not in job.said
    take_and_let_go(job.output)

    again = start()
    assert again.wait() == 0, again.said
    assert [row["id"] for row in annotations(job.output)] == IDS
    assert sorted(logged(tmp_path, "decoded")) == sorted(logged(tmp_path, "annotating")) == IDS, "nothing is done twice"


def test_the_second_ctrl_c_stops_at_once_though_shards_are_stuck(tmp_path, start):
    job = stopped_in_the_middle(start)
    job.process.send_signal(signal.SIGINT)
    job.wait_until_said(STOPPING)
    assert job.process.poll() is None
    began_s = time.monotonic()
    job.process.send_signal(signal.SIGINT)
    assert job.wait() == 130
    assert time.monotonic() - began_s < AT_ONCE_S
    assert job.said.splitlines()[-1] == STOPPED
    assert parts(job.output) == WRITTEN_FIRST
    take_and_let_go(job.output)
    assert run_in_this_process(tmp_path).adds_up
    assert [row["id"] for row in annotations(job.output)] == IDS


@pytest.mark.parametrize(
    ("gate", "stop", "status"),
    [("planning", signal.SIGINT, 130), ("loading", signal.SIGTERM, 143)],
)
def test_before_anything_is_annotated_the_first_signal_stops_at_once(tmp_path, start, gate, stop, status):
    job = start(**{gate: 0})
    job.wait_until_logged(gate, 1)
    began_s = time.monotonic()
    job.process.send_signal(stop)
    assert job.wait() == status
    assert time.monotonic() - began_s < AT_ONCE_S
    assert job.said.splitlines() == [STOPPED]
    take_and_let_go(job.output)


def test_sigterm_to_children_that_decode_makes_no_failures(tmp_path, start):
    """systemd sends it to all processes of a command, as a terminal does with Ctrl-C."""
    job = start(annotating=WRITTEN_FIRST)
    job.wait_until_logged("call", WRITTEN_FIRST + 1)
    (tmp_path / "decoding").write_text("0")
    (tmp_path / "annotating").unlink()
    job.wait_until(lambda: set(logged(tmp_path, "decoding")) > set(logged(tmp_path, "decoded")))
    os.killpg(job.process.pid, signal.SIGTERM)
    job.wait_until_said("stopping after the shards in flight")
    (tmp_path / "decoding").unlink()
    assert job.wait() == 143
    assert failures(job.output) == []
    summary = summary_of(job.output)
    assert (summary["annotated"] + summary["left"], summary["failed"]) == (ROWS, 0)
    assert set(logged(tmp_path, "decoding")) == {row["id"] for row in annotations(job.output)}
    take_and_let_go(job.output)


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_a_stopped_run_keeps_the_failures_of_what_it_has_not_tried_again(tmp_path, workers):
    manifest, output = write_manifest(tmp_path / MANIFEST, write_tones(tmp_path / "audio", ROWS)), tmp_path / "out"
    (tmp_path / "audio").rename(tmp_path / "hidden")
    assert run_in_this_process(tmp_path).failed == ROWS
    (tmp_path / "hidden").rename(tmp_path / "audio")
    options, calls = JobOptions(shard_rows=4, model=(MODEL,)), itertools.count(1)
    with launched_here(manifest, output, options, workers) as run:

        class StoppingEngine(ListeningEngine):
            def annotate(self, clips, tasks):
                if next(calls) == WRITTEN_FIRST:
                    StopRequest(run.run_id).ask(signal.SIGINT)
                return super().annotate(clips, tasks)

        beam_options = embedded_options([f"--direct_num_workers={workers}"])
        summary = run_job(run, [Assignment(StoppingEngine, run.tasks)], beam_options)
    annotated = {row["id"] for row in annotations(output)}
    assert 0 < summary.annotated == len(annotated) < ROWS
    assert (summary.left, summary.failed, summary.is_sound) == (ROWS - len(annotated), 0, True)
    assert [row["id"] for row in failures(output)] == sorted(set(IDS) - annotated)
    again = run_in_this_process(tmp_path)
    assert (again.annotated, again.adds_up) == (summary.left, True)
    assert failures(output) == []
