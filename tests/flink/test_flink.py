"""The job on a real Flink cluster of several processes."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from earmark.transforms.output.lease import FOLDER, Lease
from earmark.transforms.output.store import OutputStore
from tests.support.clusters.flink_cluster import flink_cluster
from tests.support.clusters.flink_job import SHARD_ROWS
from tests.support.clusters.flink_log import logged
from tests.support.clusters.flink_runs import Job, assert_rows, many_scenes, rows_of_one_process, start, wait_until
from tests.support.jobs import PHONE_PROMPTS, TINY, annotations, run_command

pytestmark = [pytest.mark.flink, pytest.mark.slow]
RECORDINGS = 200
Start = Callable[[Path, Sequence[str]], Job]
__all__ = ["start"]  # a fixture


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with flink_cluster(tmp_path_factory.mktemp("flink"), task_managers=2, slots=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return many_scenes(tmp_path_factory.mktemp("manifest") / "m.jsonl", RECORDINGS)


@pytest.fixture(scope="module")
def expected(manifest, tmp_path_factory):
    return rows_of_one_process(manifest, tmp_path_factory.mktemp("alone"))


def flink_jobs(cluster, output):
    """Name and state of the jobs that have written to an output, by its runs."""
    runs = [path.name.lower() for path in output.glob("_earmark/runs/*")]
    jobs = cluster.rest("/jobs/overview")["jobs"]
    return {job["name"]: job["state"] for job in jobs if any(job["name"] == f"earmark-{run}" for run in runs)}


def held_lease(output):
    store = OutputStore(str(output))
    return Lease.from_json(store.read(f"{FOLDER}/{store.names(FOLDER)[-1]}"))


def test_a_job_on_the_cluster_has_the_rows_of_one_process(cluster, tmp_path):
    arguments = ["--model", TINY, "--task", "transcribe,caption,emotion", "--shard_rows", "8"]
    on_flink = run_command("annotate", PHONE_PROMPTS, tmp_path / "flink", *arguments, *cluster.runner_flags(2))
    assert on_flink.returncode == 0, on_flink.stderr
    alone = run_command("annotate", PHONE_PROMPTS, tmp_path / "alone", *arguments)
    assert alone.returncode == 0, alone.stderr
    assert_rows(annotations(tmp_path / "flink"), annotations(tmp_path / "alone"))
    assert list(flink_jobs(cluster, tmp_path / "flink").values()) == ["FINISHED"]
    assert f"on http://{cluster.master}" in on_flink.stderr


def test_every_machine_loads_each_model_once_whatever_the_parallelism(cluster, manifest, expected, start):
    """Without --parallelism the job has all 4 slots: two threads in the single Python process of each machine."""
    job = start(manifest, [flag for flag in cluster.runner_flags(0) if not flag.startswith("--parallelism")])
    assert job.wait() == 0, job.log_text
    assert_rows(annotations(job.output), expected)
    assert Counter(logged(job.log, "decoded")) == Counter(row["id"] for row in expected)
    processes = logged(job.log, "loaded")
    assert len(processes) == 2 and len(set(processes)) == 2
    assert json.loads(next(job.output.glob("_earmark/runs/*/run.json")).read_text())["workers"] == 4


def test_a_job_whose_client_died_continues_and_holds_the_output_until_it_ends(cluster, manifest, expected, start):
    orphan = start(manifest, cluster.runner_flags(2))
    orphan.hold()
    orphan.kill_client()
    second = start(manifest, cluster.runner_flags(2))
    assert second.wait() == 1
    name = f"earmark-{held_lease(orphan.output).run_id.lower()}"
    assert f"(job {name} on http://{cluster.master}) is writing to {orphan.output}" in second.log_text
    assert "--take_over to cancel it" in second.log_text
    orphan.resume()
    wait_until(lambda: flink_jobs(cluster, orphan.output)[name] != "RUNNING")
    assert flink_jobs(cluster, orphan.output)[name] == "FINISHED"
    assert_rows(annotations(orphan.output), expected)

    after = start(manifest, [])  # the job has ended, so its output is free, although no client released it
    assert after.wait() == 0, after.log_text
    assert Counter(logged(orphan.log, "decoded")) == Counter(row["id"] for row in expected)


def test_taking_over_cancels_the_job_first(cluster, manifest, expected, start):
    orphan = start(manifest, cluster.runner_flags(2))
    orphan.hold()
    orphan.kill_client()
    heir = start(manifest, [*cluster.runner_flags(2), "--take_over"])
    wait_until(lambda: "CANCELED" in flink_jobs(cluster, orphan.output).values())
    assert orphan.parts() < RECORDINGS / SHARD_ROWS
    orphan.resume()
    assert heir.wait() == 0, heir.log_text
    assert sorted(flink_jobs(cluster, heir.output).values()) == ["CANCELED", "FINISHED"]
    assert_rows(annotations(heir.output), expected)


def test_interrupting_the_client_cancels_the_job(cluster, manifest, start):
    job = start(manifest, cluster.runner_flags(2))
    job.hold()
    job.process.send_signal(signal.SIGINT)
    assert job.wait() != 0
    assert list(flink_jobs(cluster, job.output).values()) == ["CANCELED"]
    assert held_lease(job.output).ended


def test_a_cluster_without_a_restart_strategy_is_refused(tmp_path):
    with flink_cluster(tmp_path / "cluster", task_managers=0, restarts={}) as cluster:
        refused = run_command(
            "annotate", PHONE_PROMPTS, tmp_path / "out", "--model", TINY, *cluster.runner_flags(1), timeout_s=120
        )
    assert refused.returncode == 1
    assert "restart-strategy.type" in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_cluster_is_an_error_at_once(tmp_path):
    flags = ["--runner=FlinkRunner", "--flink_master=127.0.0.1:9"]
    refused = run_command("annotate", PHONE_PROMPTS, tmp_path / "out", "--model", TINY, *flags, timeout_s=60)
    assert refused.returncode == 1
    assert "no Flink cluster answers at http://127.0.0.1:9" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
