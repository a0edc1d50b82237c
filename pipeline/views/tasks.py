"""Printed output of `earmark tasks`: the tasks. Imports neither Beam nor torch."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from earmark.pipeline.console.console import console
from earmark.schemas.tasks import Task


def print_tasks(tasks: Iterable[Task]) -> None:
    """Print each task with its kind of answer and its prompts."""
    table = Table(show_header=False, box=None, padding=(0, 2, 1, 0))
    for task in tasks:
        lines = [f"{task.about}; answer: {task.answer_kind.describe(task)}"]
        if task.base_prompt is not None:
            lines.append(f"  base checkpoints: {_prompt(task, task.base_prompt)}")
        lines.append(f"  Instruct checkpoints: {_prompt(task, task.chat_prompt)}")
        table.add_row(task.name, escape("\n".join(lines)))
    console.print(table)


def _prompt(task: Task, prompt: str) -> str:
    return prompt.replace("{question}", task.question) or "(the audio alone)"
