"""Dataflow's REST API: finds running jobs, and cancels them.

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
    """Ids of the jobs of a name that have not ended, including a job that waits for machines.

    At most one job of a name runs at a time in a project and region. Raises OSError if Dataflow does not answer.
    """
    ids: list[str] = []
    page = ""
    while True:
        page_of_jobs = _request(address, "GET", "?" + urllib.parse.urlencode({"name": name, "pageToken": page}))
        jobs = page_of_jobs.get("jobs", [])
        ids += [job["id"] for job in jobs if job["name"] == name and job.get("currentState") not in ENDED]
        if not (page := page_of_jobs.get("nextPageToken", "")):
            return ids


def cancel(address: str, id: str) -> None:
    """Request the end of a job, which ends later. Raises OSError if Dataflow does not answer."""
    _request(address, "PUT", f"/{id}", {"requestedState": "JOB_STATE_CANCELLED"})


def _request(address: str, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON of the response. Raises OSError if there is no response."""
    try:
        session = AuthorizedSession(_credentials(address))
        response = session.request(method, address + path, json=body, timeout=TIMEOUT_S)
        response.raise_for_status()
        return dict(response.json())
    except (GoogleAuthError, ValueError) as error:  # requests' own errors are OSErrors
        raise StorageError(f"{address} gives no answer: {error}") from error


def _credentials(address: str) -> Any:
    if urllib.parse.urlsplit(address).hostname == "localhost":  # as in Beam: a fake service without accounts
        return AnonymousCredentials()
    return google.auth.default(scopes=[SCOPE])[0]


def jobs_address(endpoint: str, project: str, region: str) -> str:
    """Return the URL of a project's jobs in a region; `endpoint` as Beam's --dataflow_endpoint."""
    return f"{endpoint.rstrip('/')}/v1b3/projects/{project}/locations/{region}/jobs"
