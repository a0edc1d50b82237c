"""What Dataflow says of a job: whether it still runs; and the way to end it.

Source: https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs
"""

import time
import urllib.parse
from dataclasses import dataclass
from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from schemas.errors import JobError
from transforms.file_system import StorageError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ENDED = frozenset(f"JOB_STATE_{state}" for state in ("STOPPED", "DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"))
TIMEOUT_S = 30.0
CANCEL_S = 600.0  # machines with GPUs take minutes to let go


@dataclass(frozen=True, slots=True)
class DataflowJob:
    """A job on Dataflow.

    Attributes:
        address: URL of a project's jobs in a region, as `jobs_address` gives it.
        name: Dataflow has no two of one name that run at a time in a project and region; it is known before the job
            has an id.
        starts_later: it is started when the process that asks for it has ended, as a Flex Template's is.
    """

    address: str
    name: str
    starts_later: bool = False

    def is_running(self) -> bool:
        """Whether there is such a job that has not ended; one that waits for machines runs, too.

        Raises OSError where Dataflow cannot be asked.
        """
        return bool(self._running_ids())

    def cancel(self) -> None:
        """Ends the job, and returns when it has.

        Raises:
            OSError: Dataflow cannot be asked.
            JobError: the job goes on all the same.
        """
        for id in self._running_ids():
            self._ask("PUT", f"/{id}", {"requestedState": "JOB_STATE_CANCELLED"})
        deadline = time.monotonic() + CANCEL_S
        while self.is_running():
            if time.monotonic() > deadline:
                raise JobError(f"job {self.name} at {self.address} was cancelled {CANCEL_S:g} s ago, and still runs")
            time.sleep(5)

    def _running_ids(self) -> list[str]:
        ids: list[str] = []
        page = ""
        while True:
            query = urllib.parse.urlencode({"name": self.name, "pageToken": page})
            found = self._ask("GET", f"?{query}")
            jobs = found.get("jobs", [])
            ids += [job["id"] for job in jobs if job["name"] == self.name and job.get("currentState") not in ENDED]
            if not (page := found.get("nextPageToken", "")):
                return ids

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """The answer's JSON. Raises OSError where there is none."""
        try:
            session = AuthorizedSession(self._credentials())
            answer = session.request(method, self.address + path, json=body, timeout=TIMEOUT_S)
            answer.raise_for_status()
            return dict(answer.json())
        except (GoogleAuthError, ValueError) as error:  # requests' own errors are OSErrors
            raise StorageError(f"{self.address} gives no answer: {error}") from error

    def _credentials(self) -> Any:
        if urllib.parse.urlsplit(self.address).hostname == "localhost":  # as Beam has it: a stand-in, without accounts
            return AnonymousCredentials()
        return google.auth.default(scopes=[SCOPE])[0]


def jobs_address(endpoint: str, project: str, region: str) -> str:
    """The URL of a project's jobs in a region; `endpoint` as Beam's --dataflow_endpoint."""
    return f"{endpoint.rstrip('/')}/v1b3/projects/{project}/locations/{region}/jobs"
