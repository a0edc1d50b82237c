"""The lease on an output: one run at a time may write to it.

Leases are numbered objects, `_earmark/leases/000001.json` and so on; the highest number holds the output. A run takes
over by creating the next number, which only one of several runs can do on a file system that can create an object only
if it is absent. The last lease stays, marked as ended, so no number is used twice, and a forgotten run cannot take a
later run's lease for its own.
"""

import contextlib
import dataclasses
import json
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from earmark.schemas.errors import JobError, MachineError
from earmark.transforms.clusters.cluster_job import ClusterJob
from earmark.transforms.output.store import OutputStore

log = logging.getLogger("earmark")

HEARTBEAT_S = 20.0
EXPIRY_S = 6 * HEARTBEAT_S
FOLDER = "_earmark/leases"


@dataclass(frozen=True, slots=True)
class Lease:
    """The run that may write to an output.

    Attributes:
        host: Name of the machine on which the run was started.
        pid: Id of the process that started the run.
        started_s: Time at which that process began.
        heartbeat_s: Time of the last heartbeat.
        ended: Whether the run has released the output.
        boot_id: Id of the kernel's boot, "" where the system has none. Host names alone are not enough: containers may
            share one.
        pid_namespace: Namespace in which `pid` is a number, "" where the system has none.
        job: Job of the run on a cluster, which may outlive the process that started it.
    """

    run_id: str
    host: str
    pid: int
    started_s: float
    heartbeat_s: float
    ended: bool = False
    boot_id: str = ""
    pid_namespace: str = ""
    job: ClusterJob | None = None

    @classmethod
    def of_this_process(cls, run_id: str, job: ClusterJob | None = None) -> "Lease":
        return cls(
            run_id,
            socket.gethostname(),
            os.getpid(),
            psutil.Process().create_time(),
            time.time(),
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            job=job,
        )

    @classmethod
    def from_json(cls, content: bytes) -> "Lease":
        """Raises ValueError or TypeError if the content is not a lease."""
        values = json.loads(content)
        job = values.pop("job", None)
        return cls(**values, job=ClusterJob(**job) if job else None)

    def is_over(self, now_s: float) -> bool:
        """Whether its holder has ended, is known to be dead, or has missed its heartbeats for too long.

        Raises:
            OSError: The cluster of its job does not answer.
        """
        if self.ended:
            return True
        if self.job is not None and self.job.is_running():
            return False
        if (self.host, self.boot_id, self.pid_namespace) == (socket.gethostname(), _boot_id(), _pid_namespace()):
            return not _is_running(self.pid, self.started_s)
        return now_s - self.heartbeat_s > EXPIRY_S


def new_run_id() -> str:
    """Return a new id. Ids sort by time; two ids of the same second differ."""
    return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3)


def take_lease(store: OutputStore, run_id: str, take_over: bool, job: ClusterJob | None = None) -> "HeldLease":
    """Take the lease on `store` for `run_id`.

    Args:
        take_over: Whether to take it even from a run that seems alive; that run's job is cancelled first.
        job: Job of the run on a cluster.

    Raises:
        JobError: `take_over` is False, and another run that seems alive holds the lease, or the lease cannot be read.
    """
    held = _highest(store)
    number = 1
    if held is not None:
        if take_over:
            _cancel_job(store, held)
        else:
            _check_over(store, held)
        number = int(held.removesuffix(".json")) + 1
    name = f"{number:06d}.json"
    lease = Lease.of_this_process(run_id, job)
    if not store.create(f"{FOLDER}/{name}", _encoded(lease)) or _highest(store) != name:
        raise JobError(f"another run has started on {store.root} at this moment; wait for it")
    for earlier in store.names(FOLDER):
        if earlier < name:
            with contextlib.suppress(FileNotFoundError):
                store.remove(f"{FOLDER}/{earlier}")
    return HeldLease(store, name, lease)


def _check_over(store: OutputStore, held: str) -> None:
    lease = _read(store, held)
    if lease is None:
        return
    silent_s = max(0.0, time.time() - lease.heartbeat_s)
    run = f"run {lease.run_id} (process {lease.pid} on {lease.host}, last heartbeat {silent_s:.0f} s ago)"
    if lease.job is not None:
        run = f"run {lease.run_id} (job {lease.job.name} on {lease.job.address})"
    try:
        is_over = lease.is_over(time.time())
    except OSError as error:
        raise JobError(
            f"{run} wrote to {store.root} last, and that cluster does not say whether it still does ({error});"
            " give --take_over if the cluster is gone"
        ) from error
    if not is_over:
        remedy = "give --take_over if it is dead" if lease.job is None else "give --take_over to cancel it"
        raise JobError(f"{run} is writing to {store.root}; wait for it, or {remedy}")


def _cancel_job(store: OutputStore, held: str) -> None:
    """End the job of the held lease, if it has one that can be reached."""
    try:
        lease = _read(store, held)
    except JobError as error:  # the lease is damaged; taking over is the remedy
        log.warning("%s", error)
        return
    if lease is None or lease.ended or lease.job is None:
        return
    try:
        lease.job.cancel()
    except OSError as error:
        message = "job %s on %s could not be cancelled (%s); its workers stop when they notice that the output is lost"
        log.warning(message, lease.job.name, lease.job.address, error)


def check_lease(store: OutputStore, run_id: str) -> None:
    """Raises MachineError unless `run_id` holds the output, so that a forgotten worker of another run adds nothing."""
    name = _highest(store)
    lease = _read(store, name) if name is not None else None
    if lease is None or lease.ended or lease.run_id != run_id:
        now = "has ended" if lease is None or lease.ended else f"has lost the output to run {lease.run_id}"
        raise MachineError(f"run {run_id} {now}; its unfinished work is discarded")


class HeldLease:
    """A lease that is renewed until it is released; a context manager."""

    def __init__(self, store: OutputStore, name: str, lease: Lease):
        self._store, self._name, self._lease = store, name, lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "HeldLease":
        self._thread.start()
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._write(ended=not self._job_continues(failed=error is not None))

    def _job_continues(self, failed: bool) -> bool:
        """Whether the run's job outlives this process; True if its cluster does not answer."""
        try:
            job = self._lease.job
            return job is not None and ((job.starts_later and not failed) or job.is_running())
        except OSError:
            return True

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self._write(ended=False)

    def _write(self, ended: bool) -> None:
        """Renew the lease, unless another run has taken the output over; the workers notice that by themselves."""
        fresh = dataclasses.replace(self._lease, heartbeat_s=time.time(), ended=ended)
        try:
            if _highest(self._store) == self._name:
                self._store.replace(f"{FOLDER}/{self._name}", _encoded(fresh))
        except OSError as error:  # such as a network failure or a full disk; the next heartbeat may succeed
            log.warning("the lease on %s could not be renewed: %s", self._store.root, error)


def _encoded(lease: Lease) -> bytes:
    return json.dumps(dataclasses.asdict(lease)).encode()


def _highest(store: OutputStore) -> str | None:
    names = store.names(FOLDER)
    return names[-1] if names else None


def _read(store: OutputStore, name: str) -> Lease | None:
    """The lease, or None if it has been removed in the meantime. Raises JobError if the object is not a lease."""
    try:
        return Lease.from_json(store.read(f"{FOLDER}/{name}"))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise JobError(
            f"{store.root}/{FOLDER}/{name} is damaged ({error}); give --take_over if no run is writing there"
        ) from error


def _boot_id() -> str:
    """Id of the running kernel's boot, the same in all containers on it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _is_running(pid: int, started_s: float) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # killed, and not reaped by its parent, as in many containers
            return False
        return abs(process.create_time() - started_s) < 1.0  # another process may have the number by now
    except psutil.NoSuchProcess:
        return False
