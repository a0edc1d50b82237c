"""What decides the answers of a job."""

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
    """A task as it is asked, and what names the weights that answer it and nothing else."""

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
        asked = {field.name: getattr(task, field.name) for field in dataclasses.fields(task) if field.name != "about"}
        return cls(model=model, **asked)

    @property
    def answer_kind(self) -> AnswerKind:
        return ANSWER_KINDS[self.answer]


@dataclass(frozen=True)
class JobDescription:
    """What decides the answers of a job; two runs into one output must agree on all of it.

    Attributes:
        tasks: in the order of the output's columns.
        segmentation: how recordings are cut.
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
        """`models`: for each task, in order, its model's identity, such as a hub id at its commit."""
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
        """What differs from the description of an earlier run, in words; of a task that only one has, no more."""
        mine, theirs = _flat(json.loads(self.to_json())), _flat(earlier)
        return [
            f"{name} was {theirs.get(name)!r}, now {mine.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name) and (name in mine.keys() & theirs.keys() or "." not in name)
        ]


def check_schema_version(description: Mapping[str, Any], place: str) -> None:
    """Raises JobError where an output was made by a version of earmark that writes another schema.

    Args:
        description: as read from the JSON of the output at `place`.
    """
    found = description.get("schema_version")
    if isinstance(found, int) and found != SCHEMA_VERSION:
        raise JobError(
            f"{place} was made by another version of earmark: its schema is version {found}, this earmark's is"
            f" {SCHEMA_VERSION}; use the earmark that made it, or annotate into a new folder"
        )


def _flat(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description as read from JSON, with what a task holds by names such as `caption.model`."""
    flat = {name: value for name, value in description.items() if name not in ("tasks", "fingerprint")}
    listed = description.get("tasks")
    tasks = [task for task in listed if isinstance(task, dict)] if isinstance(listed, list) else []
    flat["tasks"] = [task.get("name") for task in tasks] or listed  # names alone, in an earlier version
    of_tasks = {f"{task.get('name')}.{key}": task[key] for task in tasks for key in task if key != "name"}
    return flat | of_tasks
