"""Requests to Flink's REST service, and decisions of the lease by its answers; the service is a fake."""

import http.server
import json
import threading

import pytest

from earmark.pipeline.launch import ExecutionTarget
from earmark.pipeline.runner import embedded_options, find_target
from earmark.schemas.errors import JobError
from earmark.transforms.clusters import cluster_job
from earmark.transforms.clusters.cluster_job import ClusterJob
from earmark.transforms.clusters.flink import check_restarts, count_slots
from earmark.transforms.output.lease import FOLDER, Lease, check_lease, take_lease
from earmark.transforms.output.store import OutputStore

JOB_ID = "6c1ab0e6d0b4e5a4a6ea2c5f3b9a0d11"


class PlayedFlink(http.server.ThreadingHTTPServer):
    """A JobManager with one job called "mine", in a state that tests set; cancelling it works if `obeys`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state, self.obeys, self.settings = "RUNNING", True, {"restart-strategy.type": "fixed-delay"}
        self.answers_json = True

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path):
        return {
            "/jobs/overview": {"jobs": [{"jid": JOB_ID, "name": "mine", "state": self.state}]},
            "/overview": {"taskmanagers": 3, "slots-total": 12, "slots-available": 5},
            "/jobmanager/config": [{"key": key, "value": value} for key, value in self.settings.items()],
        }[path]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PlayedFlink

    def do_GET(self):
        self._send(200, json.dumps(self.server.answer(self.path)) if self.server.answers_json else "<html>")

    def do_PATCH(self):
        assert self.path == f"/jobs/{JOB_ID}?mode=cancel"
        if self.server.obeys:
            self.server.state = "CANCELED"
        self._send(202, "{}")

    def _send(self, status, content):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def flink():
    with PlayedFlink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def store(tmp_path):
    return OutputStore(str(tmp_path))


def leave_lease(store, address):
    """That of a run whose client, on another machine, has sent no heartbeat for an hour."""
    held = take_lease(store, "theirs", take_over=False, job=ClusterJob("flink", address, "mine"))
    about = json.loads(store.read(f"{FOLDER}/000001.json"))
    store.replace(f"{FOLDER}/000001.json", json.dumps(about | {"host": "gone", "heartbeat_s": 0.0}).encode())
    del held


@pytest.mark.parametrize("state", ["INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "CANCELLING"])
def test_a_running_job_keeps_the_output_after_its_client_has_died(flink, store, state):
    flink.state = state
    leave_lease(store, flink.address)
    with pytest.raises(
        JobError, match=rf"run theirs \(job mine on {flink.address}\) is writing .*--take_over to cancel"
    ):
        take_lease(store, "ours", take_over=False)
    check_lease(store, "theirs")


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED", "FAILED"])
def test_the_lease_ends_with_the_job(flink, store, state):
    flink.state = state
    leave_lease(store, flink.address)
    take_lease(store, "ours", take_over=False)
    check_lease(store, "ours")


def test_to_take_over_cancels_the_job_first(flink, store):
    leave_lease(store, flink.address)
    take_lease(store, "ours", take_over=True)
    assert flink.state == "CANCELED"
    check_lease(store, "ours")


def test_a_job_that_cannot_be_cancelled_keeps_the_output(flink, store, monkeypatch):
    monkeypatch.setattr(cluster_job, "CANCEL_S", 0.1)
    flink.obeys = False
    leave_lease(store, flink.address)
    with pytest.raises(JobError, match=r"was cancelled 0\.1 s ago, and still runs"):
        take_lease(store, "ours", take_over=True)
    check_lease(store, "theirs")


def test_an_unreachable_cluster_keeps_the_output_until_it_is_taken_over(flink, store, caplog):
    leave_lease(store, "http://127.0.0.1:9")
    with pytest.raises(JobError, match=r"does not say whether it still does .*--take_over if the cluster is gone"):
        take_lease(store, "ours", take_over=False)
    take_lease(store, "ours", take_over=True)
    assert "job mine on http://127.0.0.1:9 could not be cancelled" in caplog.text
    check_lease(store, "ours")


@pytest.mark.parametrize(("state", "ended"), [("RUNNING", False), ("FAILED", True)])
def test_a_client_that_fails_keeps_the_lease_for_a_job_that_still_runs(flink, store, state, ended):
    with take_lease(store, "ours", take_over=False, job=ClusterJob("flink", flink.address, "mine")):
        flink.state = state
    assert Lease.from_json(store.read(f"{FOLDER}/000001.json")).ended == ended


@pytest.mark.parametrize("settings", [{}, {"restart-strategy.type": "none"}, {"restart-strategy": "disable"}])
def test_a_cluster_that_restarts_nothing_is_refused(flink, settings):
    flink.settings = settings
    with pytest.raises(JobError, match=r"set restart-strategy.type in its configuration"):
        check_restarts(flink.address)


def test_a_server_that_is_no_flink_is_refused(flink):
    flink.answers_json = False
    with pytest.raises(JobError, match=rf"no Flink cluster answers at {flink.address} .*--flink_master"):
        count_slots(flink.address)


@pytest.mark.parametrize(
    ("flags", "workers", "name"),
    [([], 12, "earmark"), (["--parallelism=3"], 3, "earmark"), (["--job_name=nightly"], 12, "nightly")],
)
def test_a_job_has_the_requested_slots_or_all(flink, flags, workers, name):
    master = flink.address.removeprefix("http://")
    options = embedded_options(["--runner=FlinkRunner", f"--flink_master={master}", *flags])
    assert find_target(options) == ExecutionTarget(workers, "flink", flink.address, name)
    assert options.get_all_options()["parallelism"] == workers


def test_flink_within_this_machine_s_own_process_is_no_cluster():
    assert find_target(embedded_options(["--runner=FlinkRunner"])).runner is None
