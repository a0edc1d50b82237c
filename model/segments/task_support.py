"""Which tasks a model has answers to."""

from collections.abc import Callable, Sequence

from earmark.schemas.errors import JobError, RowError
from earmark.schemas.tasks import Task

PROMPT_SLOT = "{text of the user}"  # in place of the prompt while a chat template is rendered


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


def takes_text_prompt(task: Task) -> bool:
    """Whether an audio-language model can be asked it: a question in words, whose answer is words or one of a list."""
    return task.answer_kind.takes_text_prompt and not task.labels_of_model


def check_prompt(task: Task, prompt: str) -> None:
    """Raises RowError where a task that a row's prompt is the question of is left without one."""
    if task.takes_row_prompt and not prompt.strip():
        raise RowError("prompt", "the row has no prompt; add a column `prompt`, or --prompt for all such rows")


def check_context(prompt_tokens: int, task: Task, context_tokens: int) -> None:
    """Raises RowError where a prompt and the longest answer exceed the tokens of context that audio leaves."""
    if prompt_tokens + task.max_new_tokens > context_tokens:
        raise RowError(
            "prompt",
            f"a prompt of {prompt_tokens} tokens and an answer of up to {task.max_new_tokens} do not fit into the"
            f" {context_tokens} tokens of the model's context that audio leaves; shorten the prompt",
        )
