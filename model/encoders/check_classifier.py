"""What can be known to be wrong with a job of an audio classifier before any work."""

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
from earmark.schemas.text import join_some

log = logging.getLogger("earmark")


def check_audio_classifier_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job; the labels of tasks that leave them to the model are put in."""
    if options.free_labels:
        raise JobError(
            f"--free_labels does not work: model {checkpoint.name} is a classifier, which writes no text; leave it out"
        )
    about = f"a classifier ({architecture(Path(checkpoint.folder))}), which chooses among labels and does nothing else"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: task.answer == "label")
    own = own_labels(checkpoint.folder)
    if len(own) < 2 or _config(checkpoint.folder).get("problem_type") == "regression":
        raise JobError(
            f"model {checkpoint.name} measures a number (config.json has {len(own)} labels, problem_type"
            f" {_config(checkpoint.folder).get('problem_type')!r}) and knows no classes; name a classifier"
        )
    check_encoder(checkpoint, AutoModelForAudioClassification)
    for task in tasks:
        check_label_map(checkpoint.name, task, own)
        _compare_labels(checkpoint.name, task, own)
    if here:
        check_torch_device(options)
    return tuple(dataclasses.replace(task, labels=task_labels(task, own)) for task in tasks)


def own_labels(folder: str) -> tuple[str, ...]:
    """The labels that a checkpoint's config.json names, in the order of the network's outputs.

    Raises:
        JobError: it does not name them by the numbers of the outputs.
    """
    named = _config(folder).get("id2label") or {}
    if not isinstance(named, dict) or not all(index.isdecimal() for index in named):
        raise JobError(f"{folder}/config.json names no labels by number in id2label; get the file as it was published")
    return tuple(str(named[index]) for index in sorted(named, key=int))


def _config(folder: str) -> dict[str, Any]:
    return json_object(Path(folder) / "config.json")


def _compare_labels(name: str, task: Task, own: Sequence[str]) -> None:
    """Says what of the two lists has no counterpart; raises JobError where nothing has."""
    matches = match_labels(task, own)
    if not any(matches):
        theirs = own[0] if own else "…"
        raise JobError(
            f"task {task.name} has the labels {join_some(task.labels, NAMED_LABELS)}, model {name} has"
            f" {join_some(own, NAMED_LABELS)}, and none is the same;"
            f" say which stands for which (--label_map {task.name}.{theirs}={task.labels[0]},…), or name another model"
        )
    used = {index for members in matches for index in members}
    alone = [label for label, members in zip(task_labels(task, own), matches, strict=True) if not members]
    left = [label for index, label in enumerate(own) if index not in used]
    if alone or left:
        words = [f"the model does not know {join_some(alone, NAMED_LABELS)} (score 0)"] if alone else []
        words += [f"the task does not know {join_some(left, NAMED_LABELS)} (left out)"] if left else []
        log.warning("task %s, model %s: %s; --label_map says what stands for what", task.name, name, ", ".join(words))
