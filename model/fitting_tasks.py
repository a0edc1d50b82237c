"""Which tasks a model has answers to."""

from collections.abc import Callable, Sequence

from schemas.errors import JobError
from schemas.tasks import Task


def check_tasks_fit(name: str, about: str, tasks: Sequence[Task], fits: Callable[[Task], bool]) -> None:
    """Raises JobError that names the tasks that a model has no answers to.

    Args:
        name: the model's, as the user gave it.
        about: what it is and does: "Whisper, which transcribes and translates into English".
    """
    if others := [task.name for task in tasks if not fits(task)]:
        raise JobError(
            f"model {name} is {about}; for {', '.join(others)} name another model: --model {others[0]}=…"
            " (docs/systems.md lists what answers what)"
        )


def is_asked_in_words(task: Task) -> bool:
    """Whether an audio-language model can be asked it: a question in words, whose answer is words or one of a list."""
    return task.answer != "vector" and not task.labels_of_model
