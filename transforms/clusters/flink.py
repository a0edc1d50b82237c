"""The REST API of Flink's JobManager: finds running jobs, cancels them, and reads task slots and restart settings.

Source: Flink's REST API v1, https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/
"""

import json
import urllib.request
from typing import Any

from earmark.schemas.errors import JobError
from earmark.transforms.storage.file_system import StorageError

ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})
NO_RESTARTS = frozenset({"none", "off", "disable"})
TIMEOUT_S = 10.0


def running_ids(address: str, name: str) -> list[str]:
    """Ids of the jobs of a name that have not ended. Raises OSError if the cluster does not answer."""
    jobs = _request(address, "/jobs/overview")["jobs"]
    return [job["jid"] for job in jobs if job["name"] == name and job["state"] not in ENDED]


def cancel(address: str, id: str) -> None:
    """Request the end of a job, which ends later. Raises OSError if the cluster does not answer."""
    _request(address, f"/jobs/{id}?mode=cancel", "PATCH")


def check_restarts(address: str) -> None:
    """Raises JobError unless the cluster restarts a job that has lost a worker.

    Flink's default for batch jobs is no restart: the first lost worker would end the job.
    """
    settings = {entry["key"]: entry["value"] for entry in _request_or_job_error(address, "/jobmanager/config")}
    strategy = settings.get("restart-strategy.type", settings.get("restart-strategy", "none"))
    if strategy.strip().lower() in NO_RESTARTS:
        raise JobError(
            f"the Flink cluster at {address} gives a job up when it loses one worker: set restart-strategy.type in its"
            " configuration, such as to fixed-delay or exponential-delay (docs/deploy.md)"
        )


def count_slots(address: str) -> int:
    """Number of task slots of the cluster, free or not."""
    return int(_request_or_job_error(address, "/overview")["slots-total"])


def _request_or_job_error(address: str, path: str) -> Any:
    try:
        return _request(address, path)
    except OSError as error:
        raise JobError(f"no Flink cluster answers at {address} ({error}); see --flink_master") from error


def _request(address: str, path: str, method: str = "GET") -> Any:
    """Return the JSON of the response. Raises OSError if there is no response."""
    request = urllib.request.Request(f"{address}{path}", method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        content = response.read()
    try:
        return json.loads(content)
    except ValueError as error:
        raise StorageError(f"{address} does not answer as Flink's REST service does") from error
