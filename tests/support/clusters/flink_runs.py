"""Jobs on a test cluster: their recordings, their starts, what they must have delivered."""

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
    """The scenes, over and over, as recordings of their own."""
    scenes = [SCENES.parent / json.loads(line)["audio_filepath"] for line in SCENES.read_text().splitlines()]
    rows = [{"id": f"{number:04d}", "audio_filepath": str(scenes[number % len(scenes)])} for number in range(count)]
    return write_manifest(path, rows)


class Job:
    """A started job of tests/support/clusters/flink_job.py, with its output, its log and what it says in a folder."""

    def __init__(self, manifest: Path, folder: Path, flags: Sequence[str]):
        folder.mkdir(exist_ok=True)
        self.output, self.log, self._said = folder / "out", folder / "log", folder / "said"
        command = job_command(manifest, self.output, self.log, flags)
        with open(self._said, "wb") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def kill_client(self) -> None:
        """What happens on the cluster goes on."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Ends what the client leaves behind when it is killed: Beam's job server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def parts(self) -> int:
        return len(list(self.output.glob("annotations/*/*.parquet")))

    def wait_for_parts(self, count: int) -> None:
        wait_until(lambda: self.process.poll() is not None or self.parts() >= count)
        assert self.process.poll() is None, self.said

    def hold(self) -> None:
        """Lets the workers decode no more from the first parts on."""
        self.wait_for_parts(1)
        hold(self.log).touch()

    def go_on(self) -> None:
        hold(self.log).unlink()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_rows(found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    """The same recordings, each once, with the same answers."""
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert same(row, other), f"{row}\n{other}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Path, Sequence[str]], Job]]:
    """Starts a job with a manifest and flags; all jobs of a test share one output."""
    jobs: list[Job] = []

    def start(manifest: Path, flags: Sequence[str]) -> Job:
        jobs.append(Job(manifest, tmp_path, flags))
        return jobs[-1]

    yield start
    for job in jobs:
        job.end()


def rows_of_one_process(manifest: Path, folder: Path) -> list[dict[str, Any]]:
    """What the job delivers without a cluster."""
    job = Job(manifest, folder, [])
    assert job.wait() == 0, job.said
    return annotations(job.output)
