"""The job that a run has become on a cluster, where it goes on without the process that started it."""

import time
from dataclasses import dataclass
from typing import Literal, Protocol

from earmark.schemas.errors import JobError
from earmark.transforms.clusters import dataflow as dataflow_jobs
from earmark.transforms.clusters import flink as flink_jobs

Runner = Literal["flink", "dataflow"]
POLL_S = 1.0
CANCEL_S = 600.0  # machines with GPUs take minutes to let go


class _Service(Protocol):
    """What a cluster can be asked; each raises OSError where it gives no answer."""

    def running_ids(self, address: str, name: str) -> list[str]: ...
    def cancel(self, address: str, id: str) -> None: ...


SERVICES: dict[Runner, _Service] = {"flink": flink_jobs, "dataflow": dataflow_jobs}


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """A job on a cluster.

    Attributes:
        address: URL of what knows the cluster's jobs: of Flink's JobManager, such as http://host:8081, or of
            a project's jobs on Dataflow (dataflow_jobs.jobs_address).
        name: of this job alone; it is known before the job has an id.
        starts_later: it is started when the process that asks for it has ended, as a Flex Template's is.
    """

    runner: Runner
    address: str
    name: str
    starts_later: bool = False

    def is_running(self) -> bool:
        """Whether there is such a job that has not ended. Raises OSError where the cluster cannot be asked."""
        return bool(self._running_ids())

    def cancel(self) -> None:
        """Ends the job, and returns when it has.

        Raises:
            OSError: the cluster cannot be asked.
            JobError: the job goes on all the same.
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
