"""The command `earmark tasks`. Imports nothing heavy at module level."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.job_flags import add_config, merge_options
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands


def add_tasks_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    command = commands.add_parser(
        "tasks",
        help="list the tasks and their prompts",
        description="List earmark's tasks and those of a job file, with their answers and prompts.",
    )
    command.set_defaults(run=_tasks, for_beam=False)
    add_config(command)
    command.add_argument("--json", action="store_true", help="print JSON")


def _tasks(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.views.tasks import print_tasks

    tasks = list(merge_options(args).known_tasks().values())
    if args.json:
        print_json(tasks)
    else:
        print_tasks(tasks)
    return 0
