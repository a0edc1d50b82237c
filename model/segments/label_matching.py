"""A classifier's own labels and those of a task: which stands for which."""

from collections.abc import Mapping, Sequence

from earmark.schemas.errors import JobError
from earmark.schemas.tasks import Task
from earmark.schemas.text import join_some

NAMED_LABELS = 20  # in a message; AudioSet has 527


def task_labels(task: Task, own: Sequence[str]) -> tuple[str, ...]:
    """The labels of a task's answers: its own, or those of the model by the names that its label_map gives them."""
    if not task.labels_of_model:
        return task.labels
    mapped = _mapped(task)
    return tuple(dict.fromkeys(mapped.get(_key(label), label.strip()) for label in own))


def match_labels(task: Task, own: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each label of a task, the indices of the model's labels that stand for it: several, one or none.

    Case and surrounding space do not count; what the task's label_map says of a label goes before its name.
    """
    labels, mapped = task_labels(task, own), _mapped(task)
    names = [_key(mapped.get(_key(label), label)) for label in own]
    return tuple(tuple(index for index, name in enumerate(names) if name == _key(label)) for label in labels)


def check_label_map(name: str, task: Task, own: Sequence[str]) -> None:
    """Raises JobError where a task's label_map speaks of labels that the model, called `name`, does not have."""
    known = {_key(label) for label in own}
    if unknown := [theirs for theirs, _ in task.label_map if _key(theirs) not in known]:
        raise JobError(
            f"--label_map={task.name}.{unknown[0]}=… does not work: model {name} has the labels"
            f" {join_some(own, NAMED_LABELS)}"
        )


def _mapped(task: Task) -> Mapping[str, str]:
    return {_key(theirs): ours for theirs, ours in task.label_map}


def _key(label: str) -> str:
    return label.strip().casefold()
