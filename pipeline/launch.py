"""The launch of a run: what can be known to be wrong is said here, and what the run hangs on is written down."""

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
    """Where the work of a run is done.

    Attributes:
        workers: threads or processes that work on shards at a time, as far as is known.
        runner, address: those of the cluster; None and "" where the job ends with this process.
        job_name: what jobs are called, before what tells one run from another.
        starts_later: the job starts when this process has ended, under `job_name` and nothing else: a Flex Template.
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
        run_id: sorts by the time of the start.
        manifests: files that are read, in order.
        output: folder or URL of the output.
        tasks: as they are asked, in the order of the output's columns.
        fingerprint: of the JobDescription.
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
        """The list of the parts that were in the output at launch."""
        return f"{self.folder}/parts.txt"

    @property
    def job_name(self) -> str:
        """The runner's name for this run's job and no other; in the letters that all runners allow."""
        return self.target.job_name if self.target.starts_later else f"{self.target.job_name}-{self.run_id.lower()}"

    @property
    def job(self) -> ClusterJob | None:
        """The run's job where it does not end with this process."""
        target = self.target
        return ClusterJob(target.runner, target.address, self.job_name, target.starts_later) if target.runner else None


def check_places(manifest: str, output: str) -> None:
    """Whether there is a manifest, and the output can be listed: asked before a model is fetched for nothing.

    Raises:
        JobError: as launched_run does.
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
    """A run that holds the output, for as long as the context lasts.

    Args:
        models: for each task, in order, the identity of its model.

    Raises:
        JobError: no manifest, no such file system, no permission, another job's output, another run at work.
    """
    manifests = tuple(find_manifests(manifest))
    output = output if "://" in output else os.path.abspath(output)
    description = JobDescription.of(options, models, SEGMENTATION)
    run = Run(new_run_id(), options, tuple(models), manifests, output, description.fingerprint, target)
    with contextlib.ExitStack() as until_the_end:
        try:
            _claim(run, description, until_the_end)
        except OSError as error:
            raise JobError(f"output {output} cannot be used: {error}") from error
        yield run


def _claim(run: Run, description: JobDescription, until_the_end: contextlib.ExitStack) -> None:
    """Makes the output this run's until the end, and writes down there what the run hangs on."""
    store = run.store
    _check_job(store, description)
    until_the_end.enter_context(take_lease(store, run.run_id, run.options.take_over, run.job))
    store.clear_temporary()
    listing = store.listing()
    store.remove_all(listing.replaced)
    parts = "".join(f"{part}\n" for part in listing.parts)
    store.create(run.snapshot, parts.encode())
    store.create(f"{run.folder}/run.json", _about(run).encode())


def _check_job(store: OutputStore, description: JobDescription) -> None:
    """Claims an empty output for this job, or makes sure that it is this job's."""
    if store.create(JOB_PATH, description.to_json().encode()):
        return
    try:
        earlier = json.loads(store.read(JOB_PATH))
        if not isinstance(earlier, dict):
            raise ValueError("it holds no description of a job")
    except ValueError as error:
        raise JobError(f"{store.root}/{JOB_PATH} is damaged ({error}); choose another output folder") from error
    check_schema_version(earlier, store.root)
    if differences := description.differences(earlier):
        raise JobError(
            f"{store.root} was made by another job: {'; '.join(differences)}."
            " Ask for the same, or choose another output folder"
        )


def _about(run: Run) -> str:
    about = {
        "run_id": run.run_id,
        "fingerprint": run.fingerprint,
        "manifests": run.manifests,
        "options": dataclasses.asdict(run.options),
        "workers": run.target.workers,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "libraries": dict(_versions()),
    }
    return json.dumps(about, indent=2) + "\n"


def _versions() -> Iterator[tuple[str, str]]:
    """Of the libraries that are installed, some of which come with extras only."""
    libraries = {*LIBRARIES, *(library for family in FAMILIES for library in family.libraries)}
    for name in ("earmark", *sorted(libraries)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)
