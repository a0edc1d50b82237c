"""State of a Dataflow job, looked up by its name, from a fake Dataflow on loopback."""

import pytest

from earmark.transforms.clusters.cluster_job import ClusterJob
from earmark.transforms.clusters.dataflow import jobs_address
from tests.support.clusters.fake_dataflow import fake_dataflow


def job_of(dataflow, name="earmark-1"):
    return ClusterJob("dataflow", jobs_address(f"http://localhost:{dataflow.port}", "project", "europe-west4"), name)


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        ("JOB_STATE_QUEUED", True),
        ("JOB_STATE_PENDING", True),
        ("JOB_STATE_RUNNING", True),
        ("JOB_STATE_CANCELLING", True),
        ("JOB_STATE_RESOURCE_CLEANING_UP", True),
        ("JOB_STATE_DONE", False),
        ("JOB_STATE_FAILED", False),
        ("JOB_STATE_CANCELLED", False),
    ],
)
def test_a_job_runs_until_it_has_ended(state, runs):
    with fake_dataflow() as dataflow:
        dataflow.jobs.append({"name": "earmark-1"})
        dataflow.state = state
        assert job_of(dataflow).is_running() is runs


def test_other_jobs_and_none_at_all_are_not_this_one():
    with fake_dataflow() as dataflow:
        assert not job_of(dataflow).is_running()
        dataflow.jobs.append({"name": "earmark-1"})
        assert not job_of(dataflow, "earmark").is_running()
        assert not job_of(dataflow, "earmark-10").is_running()


def test_a_job_that_is_cancelled_has_ended():
    with fake_dataflow() as dataflow:
        dataflow.jobs.append({"name": "earmark-1"})
        dataflow.state = "JOB_STATE_RUNNING"
        job_of(dataflow).cancel()
        assert dataflow.state == "JOB_STATE_CANCELLED"
        assert not job_of(dataflow).is_running()


def test_a_dataflow_that_does_not_answer_is_an_error_and_no_answer():
    with fake_dataflow() as dataflow:
        job = job_of(dataflow)
    with pytest.raises(OSError, match="refused"):
        job.is_running()


def test_a_dataflow_that_answers_something_else_is_an_error_and_no_answer():
    with fake_dataflow() as dataflow:
        elsewhere = ClusterJob("dataflow", f"http://localhost:{dataflow.port}/nowhere", "earmark-1")
        with pytest.raises(OSError, match="404"):
            elsewhere.is_running()
