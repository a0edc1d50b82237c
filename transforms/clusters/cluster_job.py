"""The job of a run on a cluster, which continues without the process that started it."""

import time
from dataclasses import dataclass
from typing import Literal, Protocol

from earmark.schemas.errors import JobError
from earmark.transforms.clusters import dataflow as dataflow_jobs
from earmark.transforms.clusters import flink as flink_jobs

Runner = Literal["flink", "dataflow"]
POLL_S = 1.0
CANCEL_S = 600.0  # machines with GPUs take minutes to shut down


class _Service(Protocol):
    """API of a cluster; each call raises OSError if the cluster does not answer."""

    def running_ids(self, address: str, name: str) -> list[str]: ...
    def cancel(self, address: str, id: str) -> None: ...


SERVICES: dict[Runner, _Service] = {"flink": flink_jobs, "dataflow": dataflow_jobs}


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """A job on a cluster.

    Attributes:
        address: URL of the cluster's jobs: of Flink's JobManager, such as http://host:8081, or of a project's jobs on
            Dataflow (dataflow_jobs.jobs_address).
        name: Unique name, chosen before the job has an id.
        starts_later: Whether the job starts after the process that requests it has ended, as that of a Flex Template.
    """

    runner: Runner
    address: str
    name: str
    starts_later: bool = False

    def is_running(self) -> bool:
        """Whether the job exists and has not ended. Raises OSError if the cluster does not answer."""
        return bool(self._running_ids())

    def cancel(self) -> None:
        """Cancel the job, and return when it has ended.

        Raises:
            OSError: The cluster does not answer.
            JobError: The job still runs after CANCEL_S.
        """
        for id in self._running_ids():
            SERVICES[self.runner].cancel(self.address, id)
        deadline = time.monotonic() + CANCEL_S
        while self.is_running():
            if time.monotonic() > deadline:
                raise JobError(f"job {self.name} on {self.address} was cancelled {CANCEL_S:g} s ago, and still runs")
            time.sleep(POLL_S)

    def _running_ids(self) -> list[str]:
        return SERVICES[self.runner].running_ids(self.address, self.name)
