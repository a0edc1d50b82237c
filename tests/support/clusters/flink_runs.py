"""Jobs on a test cluster: their recordings, how they are started, and the rows that they must write."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.clusters.flink_job import job_command
from tests.support.clusters.flink_log import hold
from tests.support.jobs import annotations, same, write_manifest
from tests.support.paths import ROOT

SCENES = ROOT / "examples" / "scenes" / "manifest.jsonl"
DEADLINE_S = 600


def many_scenes(path: Path, count: int) -> Path:
    """Write a manifest that repeats the example scenes under new ids."""
    scenes = [SCENES.parent / json.loads(line)["audio_filepath"] for line in SCENES.read_text().splitlines()]
    rows = [{"id": f"{number:04d}", "audio_filepath": str(scenes[number % len(scenes)])} for number in range(count)]
    return write_manifest(path, rows)


class Job:
    """A started job of tests/support/clusters/flink_job.py; its output, events and log are in `folder`."""

    def __init__(self, manifest: Path, folder: Path, flags: Sequence[str]):
        folder.mkdir(exist_ok=True)
        self.output, self.log, self._log_path = folder / "out", folder / "log", folder / "client.log"
        command = job_command(manifest, self.output, self.log, flags)
        with open(self._log_path, "wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)

    @property
    def log_text(self) -> str:
        """Everything that the client has printed."""
        return self._log_path.read_text()

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def kill_client(self) -> None:
        """Kill the client alone; the job on the cluster continues."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Kill the client and the job server of Beam that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def parts(self) -> int:
        return len(list(self.output.glob("annotations/*/*.parquet")))

    def wait_for_parts(self, count: int) -> None:
        wait_until(lambda: self.process.poll() is not None or self.parts() >= count)
        assert self.process.poll() is None, self.log_text

    def hold(self) -> None:
        """Wait for the first part, and pause the workers before they decode more."""
        self.wait_for_parts(1)
        hold(self.log).touch()

    def resume(self) -> None:
        hold(self.log).unlink()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_rows(rows: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    """Assert that both have the same recordings in the same order, with the same answers."""
    assert [row["id"] for row in rows] == [row["id"] for row in expected]
    for row, expected_row in zip(rows, expected, strict=True):
        assert same(row, expected_row), f"{row}\n{expected_row}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Path, Sequence[str]], Job]]:
    """A function that starts a job with a manifest and flags; all jobs of a test share an output."""
    jobs: list[Job] = []

    def start(manifest: Path, flags: Sequence[str]) -> Job:
        jobs.append(Job(manifest, tmp_path, flags))
        return jobs[-1]

    yield start
    for job in jobs:
        job.end()


def rows_of_one_process(manifest: Path, folder: Path) -> list[dict[str, Any]]:
    """The rows of the job without a cluster."""
    job = Job(manifest, folder, [])
    assert job.wait() == 0, job.log_text
    return annotations(job.output)
