"""The command `earmark tasks`: its arguments, and what runs it. Imports nothing heavy."""

import argparse
from collections.abc import Iterable, Sequence

from earmark.pipeline.console.job_flags import add_config, merge_options
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands
from earmark.schemas.tasks import Task


def add_tasks_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`; `commands` is what add_subparsers() returned."""
    command = commands.add_parser("tasks", help="list what can be asked, and how it is asked")
    command.set_defaults(run=_tasks, for_beam=False)
    add_config(command)
    command.add_argument("--json", action="store_true", help="print JSON")


def _tasks(known: argparse.Namespace, rest: Sequence[str]) -> int:
    tasks = list(merge_options(known).known_tasks().values())
    if known.json:
        print_json(tasks)
    else:
        print_tasks(tasks)
    return 0


def print_tasks(tasks: Iterable[Task]) -> None:
    """Each task with what it answers and how it is asked."""
    from rich.markup import escape
    from rich.table import Table

    from earmark.pipeline.console.console import console

    table = Table(show_header=False, box=None, padding=(0, 2, 1, 0))
    for task in tasks:
        lines = [f"{task.about}; answers {_answers(task)}"]
        if task.base_prompt is not None:
            lines.append(f"  base checkpoints: {_asked(task, task.base_prompt)}")
        lines.append(f"  Instruct checkpoints: {_asked(task, task.chat_prompt)}")
        table.add_row(task.name, escape("\n".join(lines)))
    console.print(table)


def _answers(task: Task) -> str:
    if task.labels:
        return f"one of {', '.join(task.labels)}"
    return "with numbers" if task.answer == "vector" else "in text"


def _asked(task: Task, prompt: str) -> str:
    return prompt.replace("{question}", task.question) or "(the audio alone)"
