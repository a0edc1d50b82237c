"""The description of a job: everything that its answers depend on."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earmark.schemas.answers.kind import AnswerKind
from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task

SCHEMA_VERSION = 4  # of descriptions and of the Parquet that goes with them


@dataclass(frozen=True)
class AskedTask:
    """A task of a job, and the identity of the weights that answer it."""

    name: str
    model: str
    base_prompt: str | None
    chat_prompt: str
    question: str
    answer: str
    labels: tuple[str, ...]
    labels_of_model: bool
    label_map: tuple[tuple[str, str], ...]
    max_new_tokens: int
    target_language: str
    dimensions: int

    @classmethod
    def of(cls, task: Task, model: str) -> "AskedTask":
        values = {field.name: getattr(task, field.name) for field in dataclasses.fields(task) if field.name != "about"}
        return cls(model=model, **values)

    @property
    def answer_kind(self) -> AnswerKind:
        return ANSWER_KINDS[self.answer]


@dataclass(frozen=True)
class JobDescription:
    """Everything that the answers of a job depend on; two runs into one output must agree on all of it.

    Attributes:
        tasks: Tasks in the order of the output's columns.
        segmentation: Name of the method by which recordings are cut into segments.
    """

    tasks: tuple[AskedTask, ...]
    language: str
    timestamps: bool
    beam_size: int
    compute_type: str
    segmentation: str
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, options: JobOptions, models: Mapping[Task, str], segmentation: str) -> "JobDescription":
        """Describe a job.

        Args:
            models: Identity of each task's model, such as a hub id with its commit, in the order of the tasks.
        """
        return cls(
            tuple(AskedTask.of(task, model) for task, model in models.items()),
            options.language,
            options.timestamps,
            options.beam_size,
            options.compute_type,
            segmentation,
        )

    @property
    def fingerprint(self) -> str:
        canonical = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self) | {"fingerprint": self.fingerprint}, indent=2) + "\n"

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """List the differences from an earlier run's description; a task that only one has is one difference."""
        now, before = _flat(json.loads(self.to_json())), _flat(earlier)
        return [
            f"{name} was {before.get(name)!r}, now {now.get(name)!r}"
            for name in sorted(now.keys() | before.keys())
            if now.get(name) != before.get(name) and (name in now.keys() & before.keys() or "." not in name)
        ]


def check_schema_version(description: Mapping[str, Any], output: str) -> None:
    """Raises JobError if an output was made by a version of earmark that writes another schema.

    Args:
        description: Job description of the output, as parsed from its JSON.
        output: Path or URL of the output, for the message.
    """
    version = description.get("schema_version")
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise JobError(
            f"{output} was made by another version of earmark: its schema is version {version}, this earmark's is"
            f" {SCHEMA_VERSION}; use the earmark that made it, or annotate into a new folder"
        )


def _flat(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description as parsed from JSON, with the fields of its tasks under names such as `caption.model`."""
    flat = {name: value for name, value in description.items() if name not in ("tasks", "fingerprint")}
    listed = description.get("tasks")
    tasks = [task for task in listed if isinstance(task, dict)] if isinstance(listed, list) else []
    flat["tasks"] = [task.get("name") for task in tasks] or listed  # names alone, in an earlier version
    of_tasks = {f"{task.get('name')}.{key}": task[key] for task in tasks for key in task if key != "name"}
    return flat | of_tasks
