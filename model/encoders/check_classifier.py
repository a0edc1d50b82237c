"""Checks of an audio classifier's job before any work."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoModelForAudioClassification

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object
from earmark.model.encoders.check_encoder import architecture, check_encoder
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.segments.label_matching import NAMED_LABELS, check_label_map, match_labels, task_labels
from earmark.model.segments.task_support import check_tasks_fit
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task
from earmark.schemas.text import counted, join_some

log = logging.getLogger("earmark")


def check_audio_classifier_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job; sets the labels of tasks that take the model's own."""
    if options.free_labels:
        raise JobError(
            f"--free_labels does not work: model {checkpoint.name} is a classifier, which writes no text; leave it out"
        )
    about = f"a classifier ({architecture(Path(checkpoint.folder))}), which only chooses among labels"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: task.answer == "label")
    own = own_labels(checkpoint.folder)
    if len(own) < 2 or _config(checkpoint.folder).get("problem_type") == "regression":
        raise JobError(
            f"model {checkpoint.name} predicts a number, not classes (config.json has {counted(len(own), 'label')},"
            f" problem_type {_config(checkpoint.folder).get('problem_type')!r}); name a classifier"
        )
    check_encoder(checkpoint, AutoModelForAudioClassification)
    for task in tasks:
        check_label_map(checkpoint.name, task, own)
        _compare_labels(checkpoint.name, task, own)
    if here:
        check_torch_device(options)
    return tuple(dataclasses.replace(task, labels=task_labels(task, own)) for task in tasks)


def own_labels(folder: str) -> tuple[str, ...]:
    """Return the labels in a checkpoint's config.json, in the order of the network's outputs.

    Raises:
        JobError: They are not numbered.
    """
    labels = _config(folder).get("id2label") or {}
    if not isinstance(labels, dict) or not all(index.isdecimal() for index in labels):
        raise JobError(f"{folder}/config.json has no numbered labels in id2label; get the published file again")
    return tuple(str(labels[index]) for index in sorted(labels, key=int))


def _config(folder: str) -> dict[str, Any]:
    return json_object(Path(folder) / "config.json")


def _compare_labels(name: str, task: Task, own: Sequence[str]) -> None:
    """Warn about labels of one list without a counterpart in the other; raise JobError if no label has one."""
    matches = match_labels(task, own)
    if not any(matches):
        example = own[0] if own else "…"
        raise JobError(
            f"task {task.name} has the labels {join_some(task.labels, NAMED_LABELS)}, model {name} has"
            f" {join_some(own, NAMED_LABELS)}, and none is in both;"
            f" map them (--label_map {task.name}.{example}={task.labels[0]},…), or name another model"
        )
    used = {index for members in matches for index in members}
    only_task = [label for label, members in zip(task_labels(task, own), matches, strict=True) if not members]
    only_model = [label for index, label in enumerate(own) if index not in used]
    if only_task or only_model:
        gaps = [f"the model lacks {join_some(only_task, NAMED_LABELS)} (score 0)"] if only_task else []
        gaps += [f"the task lacks {join_some(only_model, NAMED_LABELS)} (left out)"] if only_model else []
        log.warning("task %s, model %s: %s; to map labels, use --label_map", task.name, name, ", ".join(gaps))
