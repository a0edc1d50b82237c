"""What Dataflow says of a job: whether it still runs; and the way to end it.

Source: https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs
"""

import urllib.parse
from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from earmark.transforms.storage.file_system import StorageError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ENDED = frozenset(f"JOB_STATE_{state}" for state in ("STOPPED", "DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"))
TIMEOUT_S = 30.0


def running_ids(address: str, name: str) -> list[str]:
    """Ids of the jobs of a name that have not ended; one that waits for machines has not.

    Dataflow has no two of one name that run at a time in a project and region. Raises OSError where it cannot be asked.
    """
    ids: list[str] = []
    page = ""
    while True:
        found = _ask(address, "GET", "?" + urllib.parse.urlencode({"name": name, "pageToken": page}))
        jobs = found.get("jobs", [])
        ids += [job["id"] for job in jobs if job["name"] == name and job.get("currentState") not in ENDED]
        if not (page := found.get("nextPageToken", "")):
            return ids


def cancel(address: str, id: str) -> None:
    """Asks for the job's end; it comes later. Raises OSError where Dataflow cannot be asked."""
    _ask(address, "PUT", f"/{id}", {"requestedState": "JOB_STATE_CANCELLED"})


def _ask(address: str, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """The answer's JSON. Raises OSError where there is none."""
    try:
        session = AuthorizedSession(_credentials(address))
        answer = session.request(method, address + path, json=body, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return dict(answer.json())
    except (GoogleAuthError, ValueError) as error:  # requests' own errors are OSErrors
        raise StorageError(f"{address} gives no answer: {error}") from error


def _credentials(address: str) -> Any:
    if urllib.parse.urlsplit(address).hostname == "localhost":  # as Beam has it: a stand-in, without accounts
        return AnonymousCredentials()
    return google.auth.default(scopes=[SCOPE])[0]


def jobs_address(endpoint: str, project: str, region: str) -> str:
    """The URL of a project's jobs in a region; `endpoint` as Beam's --dataflow_endpoint."""
    return f"{endpoint.rstrip('/')}/v1b3/projects/{project}/locations/{region}/jobs"
