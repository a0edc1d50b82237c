"""Provenance of an output: its job, and the `run.json` of each run."""

import json
import os
from dataclasses import dataclass

from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask, JobDescription
from earmark.transforms.output.job_file import read_job
from earmark.transforms.output.store import OutputStore

RUNS = "_earmark/runs"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run, as its `run.json` describes it.

    Attributes:
        manifests: Paths or URLs of the manifest's files.
        host: Name of the machine that launched the run.
        python: Version of Python.
        libraries: Pairs of name and version.
        models: Values of --model.
        columns: Values of --columns, such as "audio=path".
        audio_root: Value of --audio_root.
    """

    run_id: str
    manifests: tuple[str, ...]
    host: str
    python: str
    libraries: tuple[tuple[str, str], ...]
    models: tuple[str, ...]
    columns: tuple[str, ...]
    audio_root: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Provenance of an output.

    Attributes:
        run: The latest run; None where no run has left a description of itself.
        runs: Number of runs and compactions.
    """

    job: JobDescription
    run: RunInfo | None
    runs: int

    def model_name(self, task: AskedTask) -> str:
        """The readable name of a task's model; of a local checkpoint, the name of its folder."""
        if not task.model.startswith("sha256:") or self.run is None:
            return task.model
        task_names = [job_task.name for job_task in self.job.tasks]
        pairs = [(name, model) for name, _, model in (entry.partition("=") for entry in self.run.models)]
        for_all = [entry for entry, (name, _) in zip(self.run.models, pairs, strict=True) if name not in task_names]
        name = dict(pairs).get(task.name) or "".join(for_all[:1])
        return os.path.basename(name.rstrip("/")) or task.model


def read_provenance(store: OutputStore) -> Provenance:
    """Read what made an output.

    Raises:
        JobError: This is not an output of earmark or has another version of the schema, or one of the files is damaged.
        OSError: A file cannot be read.
    """
    run_ids = store.names(RUNS)
    runs = (read_run(store, run_id) for run_id in reversed(run_ids))  # compactions have no run.json
    return Provenance(read_job(store), next((run for run in runs if run is not None), None), len(run_ids))


def read_run(store: OutputStore, run_id: str) -> RunInfo | None:
    """Read the description of a run; None where the run has left none, or it has been removed since.

    Raises:
        JobError: The description is damaged.
        OSError: It cannot be read.
    """
    path = f"{RUNS}/{run_id}/run.json"
    try:
        values = json.loads(store.read(path))
        options = values["options"]
        return RunInfo(
            values["run_id"],
            tuple(values["manifests"]),
            values["host"],
            values["python"],
            tuple((str(name), str(version)) for name, version in values["libraries"].items()),
            tuple(options["model"]),
            tuple(options["columns"]),
            options["audio_root"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(f"{store.root}/{path} is damaged or of another version of earmark ({error!r})") from error
