"""Mapping between a classifier's own labels and those of a task."""

from collections.abc import Mapping, Sequence

from earmark.schemas.errors import JobError
from earmark.schemas.tasks import Task
from earmark.schemas.text import join_some

NAMED_LABELS = 20  # in a message; AudioSet has 527


def task_labels(task: Task, own: Sequence[str]) -> tuple[str, ...]:
    """The labels of a task's answers: those of the task, or those of the model, renamed by the task's label_map."""
    if not task.labels_of_model:
        return task.labels
    mapped = _mapped(task)
    return tuple(dict.fromkeys(mapped.get(_key(label), label.strip()) for label in own))


def match_labels(task: Task, own: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each label of a task, the indices of the model's labels that map to it: several, one or none.

    Case and surrounding space are ignored; an entry of the task's label_map takes precedence over a label's name.
    """
    labels, mapped = task_labels(task, own), _mapped(task)
    names = [_key(mapped.get(_key(label), label)) for label in own]
    return tuple(tuple(index for index, name in enumerate(names) if name == _key(label)) for label in labels)


def check_label_map(name: str, task: Task, own: Sequence[str]) -> None:
    """Raise JobError if a task's label_map names labels that the model `name` does not have."""
    keys = {_key(label) for label in own}
    if unknown := [label for label, _ in task.label_map if _key(label) not in keys]:
        raise JobError(
            f"--label_map={task.name}.{unknown[0]}=… does not work: model {name} has the labels"
            f" {join_some(own, NAMED_LABELS)}"
        )


def _mapped(task: Task) -> Mapping[str, str]:
    return {_key(own_label): task_label for own_label, task_label in task.label_map}


def _key(label: str) -> str:
    return label.strip().casefold()
