"""Checks that a model supports tasks and prompts."""

from collections.abc import Callable, Sequence

from earmark.schemas.errors import JobError, RowError
from earmark.schemas.tasks import Task

PROMPT_SLOT = "{text of the user}"  # in place of the prompt while a chat template is rendered


def check_tasks_fit(name: str, about: str, tasks: Sequence[Task], fits: Callable[[Task], bool]) -> None:
    """Raise JobError that names the tasks that a model does not support.

    Args:
        name: Name of the model, as the user gave it.
        about: What the model is and does: "Whisper, which transcribes and translates into English".
        fits: Whether the model supports a task.
    """
    if unsupported := [task.name for task in tasks if not fits(task)]:
        raise JobError(
            f"model {name} is {about}; for {', '.join(unsupported)} name another model: --model {unsupported[0]}=…"
            " (docs/systems.md lists the tasks of each)"
        )


def takes_text_prompt(task: Task) -> bool:
    """Whether a text prompt can ask for the answer: text, or one of the task's own labels."""
    return task.answer_kind.takes_text_prompt and not task.labels_of_model


def check_prompt(task: Task, prompt: str) -> None:
    """Raise RowError if a task takes its prompt from the row, and the row has none."""
    if task.takes_row_prompt and not prompt.strip():
        raise RowError("prompt", "the row has no prompt; add a column `prompt`, or --prompt for all such rows")


def check_context(prompt_tokens: int, task: Task, context_tokens: int) -> None:
    """Raise RowError if a prompt and the longest answer exceed the context that audio leaves, in tokens."""
    if prompt_tokens + task.max_new_tokens > context_tokens:
        raise RowError(
            "prompt",
            f"a prompt of {prompt_tokens} tokens and an answer of up to {task.max_new_tokens} do not fit into the"
            f" {context_tokens} tokens of the model's context that audio leaves; shorten the prompt",
        )
