"""Launch a run: check the manifest and the output, claim the output and record what the run depends on."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from earmark.model.families import FAMILIES
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription, check_schema_version
from earmark.schemas.tasks import Task
from earmark.transforms.clusters.cluster_job import ClusterJob, Runner
from earmark.transforms.manifests.find import find_manifests
from earmark.transforms.output.lease import new_run_id, take_lease
from earmark.transforms.output.store import JOB_PATH, OutputStore
from earmark.transforms.segment_speech import SEGMENTATION
from earmark.transforms.storage.file_system import call_with_timeout

# Libraries that every run computes with, beside those of the engines.
LIBRARIES = ("apache-beam", "av", "librosa", "numpy", "onnxruntime", "openai", "silero-vad", "soxr")


@dataclass(frozen=True)
class ExecutionTarget:
    """The process or cluster that runs a job.

    Attributes:
        workers: Number of threads or processes that work on shards at the same time, as far as is known.
        runner, address: Runner and URL of the cluster; None and "" if the job ends with this process.
        job_name: Prefix of the job's name; the run id follows.
        starts_later: Whether the job starts after this process has ended, named exactly `job_name`: a Flex Template.
    """

    workers: int
    runner: Runner | None = None
    address: str = ""
    job_name: str = "earmark"
    starts_later: bool = False


@dataclass(frozen=True)
class Run:
    """One start of `earmark annotate`.

    Attributes:
        run_id: Id of the run; ids sort by start time.
        options: Options of the job.
        tasks: Tasks with the models' own settings filled in, in the order of the output's columns.
        manifests: Manifest files, in reading order.
        output: Folder or URL of the output.
        fingerprint: Fingerprint of the JobDescription.
        target: The process or cluster that runs the job.
    """

    run_id: str
    options: JobOptions
    tasks: tuple[Task, ...]
    manifests: tuple[str, ...]
    output: str
    fingerprint: str
    target: ExecutionTarget

    @cached_property
    def store(self) -> OutputStore:
        return OutputStore(self.output)

    @property
    def folder(self) -> str:
        return f"_earmark/runs/{self.run_id}"

    @property
    def snapshot(self) -> str:
        """Path in the output of the list of parts that existed at launch."""
        return f"{self.folder}/parts.txt"

    @property
    def job_name(self) -> str:
        """Unique name of this run's job on the runner, in characters that all runners allow."""
        return self.target.job_name if self.target.starts_later else f"{self.target.job_name}-{self.run_id.lower()}"

    @property
    def job(self) -> ClusterJob | None:
        """The run's job on a cluster; None if the job ends with this process."""
        target = self.target
        return ClusterJob(target.runner, target.address, self.job_name, target.starts_later) if target.runner else None


def check_manifest_and_output(manifest: str, output: str) -> None:
    """Check that the manifest exists and the output can be listed, before a model is downloaded without need.

    Raises:
        JobError: As launched_run does.
    """
    find_manifests(manifest)
    try:
        call_with_timeout(lambda: OutputStore(output).names("_earmark"))
    except OSError as error:
        raise JobError(f"output {output} cannot be reached: {error}") from error


@contextlib.contextmanager
def launched_run(
    manifest: str, output: str, options: JobOptions, models: Mapping[Task, str], target: ExecutionTarget
) -> Iterator[Run]:
    """Start a run that holds the output until the context ends.

    Args:
        models: Identity of each task's model, in the order of the output's columns.

    Raises:
        JobError: The manifest or its file system does not exist, the output cannot be used or belongs to another job,
            or another run holds it.
    """
    manifests = tuple(find_manifests(manifest))
    output = output if "://" in output else os.path.abspath(output)
    description = JobDescription.of(options, models, SEGMENTATION)
    run = Run(new_run_id(), options, tuple(models), manifests, output, description.fingerprint, target)
    with contextlib.ExitStack() as stack:
        try:
            _claim(run, description, stack)
        except OSError as error:
            raise JobError(f"output {output} cannot be used: {error}") from error
        yield run


def _claim(run: Run, description: JobDescription, stack: contextlib.ExitStack) -> None:
    """Take the lease on the output until the end and record there what the run depends on."""
    store = run.store
    _check_job(store, description)
    stack.enter_context(take_lease(store, run.run_id, run.options.take_over, run.job))
    store.clear_temporary()
    listing = store.listing()
    store.remove_all(listing.replaced)
    parts = "".join(f"{part}\n" for part in listing.parts)
    store.create(run.snapshot, parts.encode())
    store.create(f"{run.folder}/run.json", _run_info(run).encode())


def _check_job(store: OutputStore, description: JobDescription) -> None:
    """Claim an empty output for this job, or check that the output belongs to it."""
    if store.create(JOB_PATH, description.to_json().encode()):
        return
    try:
        earlier = json.loads(store.read(JOB_PATH))
        if not isinstance(earlier, dict):
            raise ValueError("it is not a JSON object")
    except ValueError as error:
        raise JobError(f"{store.root}/{JOB_PATH} is damaged ({error}); choose another output folder") from error
    check_schema_version(earlier, store.root)
    if differences := description.differences(earlier):
        raise JobError(
            f"{store.root} was made by another job: {'; '.join(differences)}."
            " Give the same options, or choose another output folder"
        )


def _run_info(run: Run) -> str:
    run_info = {
        "run_id": run.run_id,
        "fingerprint": run.fingerprint,
        "manifests": run.manifests,
        "options": dataclasses.asdict(run.options),
        "workers": run.target.workers,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "libraries": dict(_versions()),
    }
    return json.dumps(run_info, indent=2) + "\n"


def _versions() -> Iterator[tuple[str, str]]:
    """Yield the installed libraries with their versions; some come only with extras."""
    libraries = {*LIBRARIES, *(library for family in FAMILIES for library in family.libraries)}
    for name in ("earmark", *sorted(libraries)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)
