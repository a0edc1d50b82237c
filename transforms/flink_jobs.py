"""What Flink's JobManager says over REST: whether a job still runs, how many task slots there are, what it restarts.

Source: Flink's REST API v1, https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/
"""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.errors import JobError
from transforms.file_system import StorageError

ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})
NO_RESTARTS = frozenset({"none", "off", "disable"})
TIMEOUT_S = 10.0
CANCEL_S = 120.0


@dataclass(frozen=True, slots=True)
class FlinkJob:
    """A job on a cluster.

    Attributes:
        address: URL of the JobManager's REST service, such as http://host:8081.
        name: of this job alone; it is known before the job has an id.
    """

    address: str
    name: str
    starts_later: ClassVar[bool] = False

    def is_running(self) -> bool:
        """Whether the cluster has such a job that has not ended. Raises OSError where it cannot be asked."""
        return bool(self._running_ids())

    def cancel(self) -> None:
        """Ends the job, and returns when it has.

        Raises:
            OSError: the cluster cannot be asked.
            JobError: the job goes on all the same.
        """
        for id in self._running_ids():
            _ask(self.address, f"/jobs/{id}?mode=cancel", "PATCH")
        deadline = time.monotonic() + CANCEL_S
        while self.is_running():
            if time.monotonic() > deadline:
                raise JobError(f"job {self.name} on {self.address} was cancelled {CANCEL_S:g} s ago, and still runs")
            time.sleep(0.5)

    def _running_ids(self) -> list[str]:
        jobs = _ask(self.address, "/jobs/overview")["jobs"]
        return [job["jid"] for job in jobs if job["name"] == self.name and job["state"] not in ENDED]


def check_restarts(address: str) -> None:
    """Raises JobError unless the cluster starts a job over when a worker is lost.

    Flink's default for batch is not to: the first lost worker would end the job.
    """
    settings = {entry["key"]: entry["value"] for entry in _ask_cluster(address, "/jobmanager/config")}
    strategy = settings.get("restart-strategy.type", settings.get("restart-strategy", "none"))
    if strategy.strip().lower() in NO_RESTARTS:
        raise JobError(
            f"the Flink cluster at {address} gives a job up when it loses one worker: set restart-strategy.type in its"
            " configuration, such as to fixed-delay or exponential-delay (docs/deploy.md)"
        )


def count_slots(address: str) -> int:
    """Task slots of the cluster, free or not."""
    return int(_ask_cluster(address, "/overview")["slots-total"])


def _ask_cluster(address: str, path: str) -> Any:
    try:
        return _ask(address, path)
    except OSError as error:
        raise JobError(f"no Flink cluster answers at {address} ({error}); see --flink_master") from error


def _ask(address: str, path: str, method: str = "GET") -> Any:
    """The answer's JSON. Raises OSError where there is none."""
    request = urllib.request.Request(f"{address}{path}", method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        content = answer.read()
    try:
        return json.loads(content)
    except ValueError as error:
        raise StorageError(f"{address} does not answer as Flink's REST service does") from error
