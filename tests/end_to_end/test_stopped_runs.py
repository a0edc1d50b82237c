"""Ctrl-C and SIGTERM in real processes: the first finishes the shards in flight, the second stops at once."""

import functools
import itertools
import json
import os
import re
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
    DescribingEngine,
    annotations,
    failures,
    launched_here,
    run_here,
    write_manifest,
    write_tones,
)

pytestmark = pytest.mark.process

MANIFEST = "m.jsonl"
ROWS = 40
WRITTEN_FIRST = 3  # shards, before the gate holds the others
WORKERS = 2
AT_ONCE_S = 5.0  # on a busy machine
DEADLINE_S = 120
STOPPING = (
    "stopping after the shards in flight (about 2); press Ctrl-C again to stop at once; run the same command again"
)
STOPPED = "earmark: stopped; finished work is saved, run the same command again to resume"
IDS = [f"r{number:04d}" for number in range(ROWS)]


class Job:
    """A gated job in a process of its own, which leads a process group."""

    def __init__(self, folder, *options):
        self.output, self._folder, self._log = folder / "out", folder, folder / "printed"
        arguments = (folder / MANIFEST, self.output, "--shard_rows", 4, f"--direct_num_workers={WORKERS}", *options)
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                gated_command(folder, *arguments),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def printed(self):
        return self._log.read_text()

    def wait(self, timeout_s=DEADLINE_S):
        return self.process.wait(timeout_s)

    def wait_until_printed(self, text):
        self.wait_until(lambda: text in self.printed)

    def wait_until_logged(self, what, count):
        self.wait_until(lambda: len(logged(self._folder, what)) >= count)

    def wait_until(self, is_so):
        deadline = time.monotonic() + DEADLINE_S
        while not is_so():
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed
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
        """Start a job; each gate lets through as many as its count, then holds the others."""
        for gate, count in gates.items():
            (tmp_path / gate).write_text(str(count))
        jobs.append(Job(tmp_path, *options))
        return jobs[-1]

    yield start
    for job in jobs:
        job.end()


def summary_of(output):
    """Return the summary of the latest run that has written one."""
    return dict(json.loads(max(output.glob("_earmark/runs/*/summary.json")).read_text()))


def parts(output):
    return len(list(output.glob("annotations/*/*.parquet")))


def assert_lease_is_free(output):
    """Fail if the lease on the output is still held."""
    with take_lease(OutputStore(str(output)), "another", take_over=False):
        pass


def run_in_this_process(folder):
    """Run the job of the command in this process."""
    decode = functools.partial(gated_job.decode, str(folder))
    return run_here(folder / MANIFEST, folder / "out", decode, WORKERS, shard_rows=4, model=(MODEL,))


def stopped_in_the_middle(start):
    """Start a job and wait until it has written WRITTEN_FIRST shards and each thread has another in flight."""
    job: Job = start(annotating=WRITTEN_FIRST)
    job.wait_until_logged("call", WRITTEN_FIRST + WORKERS)
    job.wait_until(lambda: parts(job.output) == WRITTEN_FIRST)
    return job


def test_the_first_ctrl_c_finishes_the_shards_in_flight_and_the_same_command_resumes(tmp_path, start):
    job = stopped_in_the_middle(start)
    job.process.send_signal(signal.SIGINT)
    job.wait_until_printed(STOPPING)
    (tmp_path / "annotating").unlink()
    assert job.wait() == 130
    assert job.printed.splitlines()[-1] == STOPPED
    assert parts(job.output) == WRITTEN_FIRST + WORKERS
    written = [row["id"] for row in annotations(job.output)]
    assert sorted(logged(tmp_path, "annotating")) == sorted(logged(tmp_path, "decoded")) == written
    summary = summary_of(job.output)
    assert (summary["annotated"], summary["left"], summary["adds_up"]) == (len(written), ROWS - len(written), False)
    assert re.search(rf"not started +{ROWS - len(written)}\b", job.printed) and "do not add up" not in job.printed
    assert_lease_is_free(job.output)

    resumed = start()
    assert resumed.wait() == 0, resumed.printed
    assert [row["id"] for row in annotations(job.output)] == IDS
    assert sorted(logged(tmp_path, "decoded")) == sorted(logged(tmp_path, "annotating")) == IDS, "no work is repeated"


def test_the_second_ctrl_c_stops_at_once_even_if_shards_hang(tmp_path, start):
    job = stopped_in_the_middle(start)
    job.process.send_signal(signal.SIGINT)
    job.wait_until_printed(STOPPING)
    assert job.process.poll() is None
    began_s = time.monotonic()
    job.process.send_signal(signal.SIGINT)
    assert job.wait() == 130
    assert time.monotonic() - began_s < AT_ONCE_S
    assert job.printed.splitlines()[-1] == STOPPED
    assert parts(job.output) == WRITTEN_FIRST
    assert_lease_is_free(job.output)
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
    assert job.printed.splitlines() == [STOPPED]
    assert_lease_is_free(job.output)


def test_sigterm_to_the_decoding_children_causes_no_failures(tmp_path, start):
    """systemd sends SIGTERM to all processes of a command, as a terminal does with Ctrl-C."""
    job = start(annotating=WRITTEN_FIRST)
    job.wait_until_logged("call", WRITTEN_FIRST + 1)
    (tmp_path / "decoding").write_text("0")
    (tmp_path / "annotating").unlink()
    job.wait_until(lambda: set(logged(tmp_path, "decoding")) > set(logged(tmp_path, "decoded")))
    os.killpg(job.process.pid, signal.SIGTERM)
    job.wait_until_printed("stopping after the shards in flight")
    (tmp_path / "decoding").unlink()
    assert job.wait() == 143
    assert failures(job.output) == []
    summary = summary_of(job.output)
    assert (summary["annotated"] + summary["left"], summary["failed"]) == (ROWS, 0)
    assert set(logged(tmp_path, "decoding")) == {row["id"] for row in annotations(job.output)}
    assert_lease_is_free(job.output)


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_a_stopped_run_keeps_earlier_failures_that_it_did_not_retry(tmp_path, workers):
    manifest, output = write_manifest(tmp_path / MANIFEST, write_tones(tmp_path / "audio", ROWS)), tmp_path / "out"
    (tmp_path / "audio").rename(tmp_path / "hidden")
    assert run_in_this_process(tmp_path).failed == ROWS
    (tmp_path / "hidden").rename(tmp_path / "audio")
    options, calls = JobOptions(shard_rows=4, model=(MODEL,)), itertools.count(1)
    with launched_here(manifest, output, options, workers) as run:

        class StoppingEngine(DescribingEngine):
            def annotate(self, clips, tasks):
                if next(calls) == WRITTEN_FIRST:
                    StopRequest(run.run_id).request(signal.SIGINT)
                return super().annotate(clips, tasks)

        beam_options = embedded_options([f"--direct_num_workers={workers}"])
        summary = run_job(run, [Assignment(StoppingEngine, run.tasks)], beam_options)
    annotated = {row["id"] for row in annotations(output)}
    assert 0 < summary.annotated == len(annotated) < ROWS
    assert (summary.left, summary.failed, summary.is_sound) == (ROWS - len(annotated), 0, True)
    assert [row["id"] for row in failures(output)] == sorted(set(IDS) - annotated)
    resumed = run_in_this_process(tmp_path)
    assert (resumed.annotated, resumed.adds_up) == (summary.left, True)
    assert failures(output) == []
