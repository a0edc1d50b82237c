"""Workers of a Flink cluster are killed while shards are in flight: no row is lost or duplicated."""

import random
import signal
import time
from collections import Counter

import pytest

from tests.support.clusters.flink_cluster import flink_cluster
from tests.support.clusters.flink_job import SHARD_ROWS
from tests.support.clusters.flink_log import logged
from tests.support.clusters.flink_runs import assert_rows, many_scenes, rows_of_one_process, start, wait_until
from tests.support.jobs import annotations

pytestmark = [pytest.mark.flink, pytest.mark.slow]
__all__ = ["start"]  # a fixture
RECORDINGS = 480
PARALLELISM = 2  # of 4 slots, so that one TaskManager has enough
TASK_MANAGERS = ("taskmanager1", "taskmanager2")


def kill_python_worker(cluster):
    workers = [worker for name in TASK_MANAGERS for worker in cluster.python_workers(name)]
    random.choice(workers).send_signal(signal.SIGKILL)


def kill_task_manager(cluster):
    """Kill one with a running Python worker, which ends or is orphaned."""
    working = [name for name in TASK_MANAGERS if cluster.python_workers(name)]
    cluster.processes.pop(random.choice(working)).kill()


def faults(cluster):
    """Number of exceptions in the history of the only job."""
    (job,) = cluster.rest("/jobs/overview")["jobs"]
    return len(cluster.rest(f"/jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"])


def wait_for_more_parts(job, count):
    """Wait for `count` more parts and a random moment; return the number of parts."""
    job.wait_for_parts(job.parts() + count)
    time.sleep(random.uniform(0, 0.5))  # at any point of the workers' work
    return job.parts()


def decoded_again(job):
    decoded = Counter(logged(job.log, "decoded"))
    return sum(decoded.values()) - len(decoded)


def test_killed_workers_cost_no_more_than_the_shards_in_flight(start, tmp_path):
    """A Python worker first, then a TaskManager, of one job."""
    manifest = many_scenes(tmp_path / "m.jsonl", RECORDINGS)
    expected = rows_of_one_process(manifest, tmp_path / "alone")
    with flink_cluster(tmp_path / "cluster", task_managers=2, slots=2) as cluster:
        job = start(manifest, cluster.runner_flags(PARALLELISM))
        wait_for_more_parts(job, 4)
        kill_python_worker(cluster)
        wait_until(lambda: faults(cluster) > 0)
        parts = wait_for_more_parts(job, 4)
        assert decoded_again(job) <= PARALLELISM * SHARD_ROWS
        kill_task_manager(cluster)
        assert parts < RECORDINGS / SHARD_ROWS, "the job ended before the second fault"
        assert job.wait() == 0, job.log_text
        assert [entry["state"] for entry in cluster.rest("/jobs/overview")["jobs"]] == ["FINISHED"]
        assert faults(cluster) >= 2
    assert_rows(annotations(job.output), expected)
    assert set(logged(job.log, "decoded")) == {row["id"] for row in expected}
    assert decoded_again(job) <= 2 * PARALLELISM * SHARD_ROWS
