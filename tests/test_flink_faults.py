"""A worker of a Flink cluster is killed while shards are in flight: nothing is lost, nothing comes twice."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.flink_cluster import FlinkCluster, flink_cluster
from tests.flink_job import SHARD_ROWS
from tests.flink_log import logged
from tests.flink_runs import Job, assert_rows, many_scenes, rows_of_one_process, start
from tests.jobs import annotations

pytestmark = [pytest.mark.flink, pytest.mark.slow]
RECORDINGS = 320
__all__ = ["start"]  # a fixture
PARALLELISM = 2  # of 4 slots, so that those of one TaskManager are enough


def kill_task_manager(cluster: FlinkCluster) -> None:
    cluster.processes.pop("taskmanager1").kill()


def kill_python_worker(cluster: FlinkCluster) -> None:
    workers = [worker for name in ("taskmanager1", "taskmanager2") for worker in cluster.python_workers(name)]
    workers[0].send_signal(signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_task_manager, kill_python_worker])
def test_a_killed_worker_costs_no_more_than_the_shards_in_flight(
    kill: Callable[[FlinkCluster], None], start: Callable[[Path, Sequence[str]], Job], tmp_path: Path
) -> None:
    manifest = many_scenes(tmp_path / "m.jsonl", RECORDINGS)
    expected = rows_of_one_process(manifest, tmp_path / "alone")
    with flink_cluster(tmp_path / "cluster", task_managers=2, slots=2) as cluster:
        job = start(manifest, cluster.runner_flags(PARALLELISM))
        job.wait_for_parts(4)
        time.sleep(random.uniform(0, 0.5))  # whatever the workers are at
        kill(cluster)
        written = job.parts()
        assert job.wait() == 0, job.said
        restarts = [entry["state"] for entry in cluster.rest("/jobs/overview")["jobs"]]
    assert written < RECORDINGS / SHARD_ROWS, "it was over before the fault"
    assert restarts == ["FINISHED"]
    assert_rows(annotations(job.output), expected)
    decoded = Counter(logged(job.log, "decoded"))
    assert set(decoded) == {row["id"] for row in expected}
    again = sum(decoded.values()) - len(decoded)
    assert again <= PARALLELISM * SHARD_ROWS, f"{again} recordings were decoded again"
