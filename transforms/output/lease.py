"""One run at a time: the lease on an output, which a dead run loses and a living one has to be told about.

Leases are numbered objects, `_earmark/leases/000001.json` and so on; the highest number holds the output. Taking over
is creating the next number, which only one of several can do, on every file system that can create if absent. The last
one stays, marked as ended: no number is ever used twice, so a forgotten run cannot take a later run's for its own.
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
    """Who runs.

    Attributes:
        pid: of the process that started the run on `host`; `started_s` is when that process began.
        ended: the run has let go of the output.
        boot_id, pid_namespace: what `pid` is a number in, "" where the system does not say. Containers of several
            machines, or of one, may all have the same host name.
        job: what the run is on a cluster, where it goes on without the process that started it.
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
        """Raises ValueError or TypeError for what is no lease."""
        values = json.loads(content)
        job = values.pop("job", None)
        return cls(**values, job=ClusterJob(**job) if job else None)

    def is_over(self, now_s: float) -> bool:
        """Whether its holder is done, known to be dead, or has not been heard of for too long.

        Raises OSError where its job's cluster cannot be asked.
        """
        if self.ended:
            return True
        if self.job is not None and self.job.is_running():
            return False
        if (self.host, self.boot_id, self.pid_namespace) == (socket.gethostname(), _boot_id(), _pid_namespace()):
            return not _is_running(self.pid, self.started_s)
        return now_s - self.heartbeat_s > EXPIRY_S


def new_run_id() -> str:
    """Sorts by time; two of the same second differ."""
    return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3)


def take_lease(store: OutputStore, run_id: str, take_over: bool, job: ClusterJob | None = None) -> "HeldLease":
    """The lease on `store` for `run_id`.

    Args:
        take_over: take it from another run in any case; that run's job is cancelled first.
        job: what the run will be on a cluster.

    Raises:
        JobError: another run has it, and is alive as far as can be known, or what it left cannot be read; and
            `take_over` is False.
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
    mine = Lease.of_this_process(run_id, job)
    if not store.create(f"{FOLDER}/{name}", _encoded(mine)) or _highest(store) != name:
        raise JobError(f"another run has started on {store.root} at this moment; wait for it")
    for earlier in store.names(FOLDER):
        if earlier < name:
            with contextlib.suppress(FileNotFoundError):
                store.remove(f"{FOLDER}/{earlier}")
    return HeldLease(store, name, mine)


def _check_over(store: OutputStore, held: str) -> None:
    lease = _read(store, held)
    if lease is None:
        return
    silent_s = max(0.0, time.time() - lease.heartbeat_s)
    run = f"run {lease.run_id} (process {lease.pid} on {lease.host}, last heard of {silent_s:.0f} s ago)"
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
    """Ends the job of the lease that is held, where it has one that can be reached."""
    try:
        lease = _read(store, held)
    except JobError as error:  # it is damaged; to take over is the remedy
        log.warning("%s", error)
        return
    if lease is None or lease.ended or lease.job is None:
        return
    try:
        lease.job.cancel()
    except OSError as error:
        told = (
            "job %s on %s could not be cancelled (%s); its workers stop when they find that they have lost the output"
        )
        log.warning(told, lease.job.name, lease.job.address, error)


def check_lease(store: OutputStore, run_id: str) -> None:
    """Raises MachineError unless `run_id` holds the output: a forgotten worker of an earlier run must add nothing."""
    held = _highest(store)
    lease = _read(store, held) if held is not None else None
    if lease is None or lease.ended or lease.run_id != run_id:
        now = "has ended" if lease is None or lease.ended else f"has lost the output to run {lease.run_id}"
        raise MachineError(f"run {run_id} {now}; what it still has at hand is thrown away")


class HeldLease:
    """A lease that is kept alive until it is released; a context manager."""

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
        self._write(ended=not self._goes_on(failed=error is not None))

    def _goes_on(self, failed: bool) -> bool:
        """Whether the run's job outlives this process, as far as can be known."""
        try:
            job = self._lease.job
            return job is not None and ((job.starts_later and not failed) or job.is_running())
        except OSError:
            return True

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self._write(ended=False)

    def _write(self, ended: bool) -> None:
        """Nothing once the output has been taken over; the workers find that out by themselves."""
        fresh = dataclasses.replace(self._lease, heartbeat_s=time.time(), ended=ended)
        try:
            if _highest(self._store) == self._name:
                self._store.replace(f"{FOLDER}/{self._name}", _encoded(fresh))
        except OSError as error:  # such as a network that is gone for a moment, or a full disk; the next beat may do it
            log.warning("the lease on %s could not be renewed: %s", self._store.root, error)


def _encoded(lease: Lease) -> bytes:
    return json.dumps(dataclasses.asdict(lease)).encode()


def _highest(store: OutputStore) -> str | None:
    names = store.names(FOLDER)
    return names[-1] if names else None


def _read(store: OutputStore, name: str) -> Lease | None:
    """The lease, or None where it has been released in the meantime. Raises JobError for what is no lease."""
    try:
        return Lease.from_json(store.read(f"{FOLDER}/{name}"))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise JobError(
            f"{store.root}/{FOLDER}/{name} is damaged ({error}); give --take_over if no run is writing there"
        ) from error


def _boot_id() -> str:
    """Of the running kernel, the same in all containers on it."""
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
        if process.status() == psutil.STATUS_ZOMBIE:  # killed, and its parent does not care, as in many containers
            return False
        return abs(process.create_time() - started_s) < 1.0  # another process may have the number by now
    except psutil.NoSuchProcess:
        return False
