"""What made an output: its job, and the run that came last."""

import json
import os
from dataclasses import dataclass

from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask, JobDescription
from earmark.transforms.output.job_file import read_job
from earmark.transforms.output.store import OutputStore

RUNS = "_earmark/runs"


@dataclass(frozen=True, slots=True)
class LastRun:
    """The run that came last.

    Attributes:
        libraries: pairs of name and version.
        models: as they were named to it.
        columns: of the manifest, as they were named to it.
    """

    run_id: str
    python: str
    libraries: tuple[tuple[str, str], ...]
    models: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """`run`: None where no run has written down what it is."""

    job: JobDescription
    run: LastRun | None
    runs: int

    def model_name(self, task: AskedTask) -> str:
        """What a person calls the model of a task; without the folders that a local one lies in."""
        if not task.model.startswith("sha256:") or self.run is None:
            return task.model
        known = [asked.name for asked in self.job.tasks]
        pairs = [(name, model) for name, _, model in (entry.partition("=") for entry in self.run.models)]
        for_all = [entry for entry, (name, _) in zip(self.run.models, pairs, strict=True) if name not in known]
        name = dict(pairs).get(task.name) or "".join(for_all[:1])
        return os.path.basename(name.rstrip("/")) or task.model


def read_provenance(store: OutputStore) -> Provenance:
    """What made an output.

    Raises:
        JobError: there is no output of earmark, of this version of its schema, or its description is damaged.
        OSError: it cannot be read.
    """
    runs = store.names(RUNS)
    return Provenance(read_job(store), _last_run(store, runs), len(runs))


def _last_run(store: OutputStore, runs: list[str]) -> LastRun | None:
    for name in reversed(runs):  # those of compactions have no run.json
        try:
            about = json.loads(store.read(f"{RUNS}/{name}/run.json"))
            options = about["options"]
            libraries = tuple((str(one), str(version)) for one, version in about["libraries"].items())
            return LastRun(
                about["run_id"], about["python"], libraries, tuple(options["model"]), tuple(options["columns"])
            )
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"{store.root}/{RUNS}/{name}/run.json is damaged ({error!r})") from error
    return None
