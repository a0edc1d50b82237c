"""The command `earmark`. Imports what is heavy only when a command needs it: child processes import this file too."""

import argparse
import contextlib
import difflib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from earmark.pipeline.commands.annotate import DESCRIPTION, add_annotate_command
from earmark.pipeline.commands.benchmark import add_benchmark_command
from earmark.pipeline.commands.card import add_card_command
from earmark.pipeline.commands.compact import add_compact_commands
from earmark.pipeline.commands.doctor import add_doctor_command
from earmark.pipeline.commands.export import add_export_command
from earmark.pipeline.commands.inspect import add_inspect_command
from earmark.pipeline.commands.plan import add_plan_command
from earmark.pipeline.commands.report import add_report_command
from earmark.pipeline.commands.scoring import add_scoring_commands
from earmark.pipeline.commands.tasks import add_tasks_command
from earmark.pipeline.console.completion import add_completion_command, answer_shell
from earmark.pipeline.console.job_flags import FLAGS
from earmark.pipeline.console.parser import CommandParser, options_of, with_underscores
from earmark.reporting.text.plain_text import visible
from earmark.schemas.errors import JobError, MachineError
from earmark.schemas.suggest import suggest

EXAMPLES = """\
examples:
  earmark tasks                      # what can be asked
  earmark plan calls.jsonl           # what a run would do
  earmark annotate calls.jsonl labels --model openai/whisper-large-v3 --limit 9
  earmark evaluate labels            # word errors, where there are references

Commands that print figures take --json. Colours go by NO_COLOR and FORCE_COLOR.
Status: 0 done, 1 could not (stderr says why), 2 wrong command, 130 stopped."""

# What a write to standard output raises when that is a closed pipe or a full disk; commands name other files' errors.
UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0 when the job ran, 1 when it could not, 2 for a wrong command."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in arguments
    try:
        status = _run([argument for argument in arguments if argument != "--verbose"], verbose)
        if sys.stdout is not None:  # closed by who started this
            sys.stdout.flush()
        return status
    except (JobError, MachineError) as error:
        if verbose:
            raise
        # One line, and nothing in it that a terminal would obey: it may name what a manifest holds.
        print(f"earmark: {visible(' '.join(str(error).splitlines()))}", file=sys.stderr)
        return 1
    except OSError as error:
        if verbose or error.errno not in UNWRITABLE or error.filename is not None:
            raise
        _drop_output()
        if not isinstance(error, BrokenPipeError):  # as of `earmark parts labels | head`, whose reader has enough
            print(f"earmark: what was to be printed cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("earmark: stopped; what is written is complete, start the same command again to go on", file=sys.stderr)
        sys.stderr.flush()
        _end_children()
        # Threads are still in the middle of their shards; the ordinary way out would wait for them, or crash on them.
        os._exit(128 + (stop.args[0] if stop.args else signal.SIGINT))


def _drop_output() -> None:
    """Lets what is still to be printed go nowhere, so that Python does not stumble over it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_children() -> None:
    """Beam's job server is a process that only an ordinary way out would end; the others end by themselves."""
    import psutil

    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()


def _run(arguments: Sequence[str], verbose: bool) -> int:
    """Runs the function of the command: `run(known, rest)`, where `rest` is what Beam's runners are to understand."""
    parser = build_parser()
    answer_shell(parser)
    arguments = with_underscores(arguments)
    known, rest = parser.parse_known_args(["benchmark", "--list"] if arguments == ["benchmark"] else arguments)
    if known.command is None:
        _refuse(rest, parser, options_of(parser))
        parser.print_help(sys.stderr)
        return 2
    known.verbose = verbose
    if known.for_beam:
        _refuse_unknown(rest, known.command_parser)
    else:
        _refuse(rest, known.command_parser, options_of(known.command_parser))
    return int(known.run(known, rest))


def build_parser() -> argparse.ArgumentParser:
    """Every command says in its defaults which function runs it, and whether it passes options on to Beam."""
    parser = CommandParser(
        prog="earmark", usage="earmark COMMAND …", description=DESCRIPTION, epilog=EXAMPLES, add_help=False
    )
    parser.add_argument("-h", "--help", action="help", help="show this and exit; earmark COMMAND --help says more")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", prog="earmark")
    add_annotate_command(commands)
    add_plan_command(commands)
    add_tasks_command(commands)
    add_compact_commands(commands)
    add_benchmark_command(commands)
    add_scoring_commands(commands)
    add_inspect_command(commands)
    add_doctor_command(commands)
    add_completion_command(commands)
    add_card_command(commands)
    add_export_command(commands)
    add_report_command(commands)
    for command in commands.choices.values():
        command.set_defaults(command_parser=command)
        command.add_argument("--verbose", action="store_true", help="log more, and show stack traces")
    return parser


class _Version(argparse.Action):
    """Looks the version up when it is asked for: it stands in the installed distribution."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from importlib.metadata import version

        print(f"earmark {version('earmark')}")
        parser.exit()


def _refuse_unknown(rest: Sequence[str], command: argparse.ArgumentParser) -> None:
    """Refuses what neither earmark nor Beam knows; with a runner, whose job server may know more, misspellings only."""
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = argparse.ArgumentParser(prog="earmark annotate", add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(beam)
    known, unknown = beam.parse_known_args(rest)
    if known.runner is None:
        _refuse(unknown, command, [*options_of(command), *options_of(beam)])
    else:
        ours = [f"--{field.name}" for field in FLAGS]
        names = [argument.partition("=")[0] for argument in unknown]
        close = [name for name in names if difflib.get_close_matches(name, ours, n=1, cutoff=0.8)]
        _refuse(close, command, options_of(command))


def _refuse(unknown: Sequence[str], parser: argparse.ArgumentParser, options: list[str]) -> None:
    """Ends the command at the first of the arguments that nobody knows; `options` are those that could be meant."""
    for argument in unknown:
        name = argument.partition("=")[0]
        if name.startswith("-"):
            parser.error(f"there is no option {name}{suggest(name, options)}")
        parser.error(f"there is one argument too many: {argument}")


if __name__ == "__main__":
    sys.exit(main())
