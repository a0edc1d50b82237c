"""The `earmark` command. Child processes import this file, so a command imports heavy libraries only when it runs."""

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
  earmark tasks                      # the tasks and their prompts
  earmark plan calls.jsonl           # preview a run
  earmark annotate calls.jsonl labels --model openai/whisper-large-v3 --limit 9
  earmark evaluate labels            # error rates, if there are references

Commands that print results take --json. NO_COLOR and FORCE_COLOR set colours.
Exit status: 0 success, 1 failure (see stderr), 2 usage error, 130 stopped."""

# Errors of a write to standard output that is a closed pipe or a full disk; commands name other files' errors.
UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 for success, 1 for failure, 2 for a usage error."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in arguments
    try:
        status = _run([argument for argument in arguments if argument != "--verbose"], verbose)
        if sys.stdout is not None:  # None where the parent process closed it
            sys.stdout.flush()
        return status
    except (JobError, MachineError) as error:
        if verbose:
            raise
        # One line without control characters: the message may quote a manifest.
        print(f"earmark: {visible(' '.join(str(error).splitlines()))}", file=sys.stderr)
        return 1
    except OSError as error:
        if verbose or error.errno not in UNWRITABLE or error.filename is not None:
            raise
        _drop_output()
        if not isinstance(error, BrokenPipeError):  # as in `earmark parts labels | head`, which closes the pipe early
            print(f"earmark: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("earmark: stopped; finished work is saved, run the same command again to resume", file=sys.stderr)
        sys.stderr.flush()
        _end_children()
        # Threads are still in the middle of their shards; an ordinary exit would wait for them or crash.
        os._exit(128 + (stop.args[0] if stop.args else signal.SIGINT))


def _drop_output() -> None:
    """Discard buffered output, which Python would otherwise fail to flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_children() -> None:
    """End Beam's job server, which only an ordinary exit would end; other child processes end by themselves."""
    import psutil

    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()


def _run(arguments: Sequence[str], verbose: bool) -> int:
    """Call the command's function: `run(args, beam_args)`, where `beam_args` are options for Beam's runners."""
    parser = build_parser()
    answer_shell(parser)
    arguments = with_underscores(arguments)
    args, beam_args = parser.parse_known_args(["benchmark", "--list"] if arguments == ["benchmark"] else arguments)
    if args.command is None:
        _refuse(beam_args, parser, options_of(parser))
        parser.print_help(sys.stderr)
        return 2
    args.verbose = verbose
    if args.for_beam:
        _refuse_unknown(beam_args, args.command_parser)
    else:
        _refuse(beam_args, args.command_parser, options_of(args.command_parser))
    return int(args.run(args, beam_args))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser. A command's defaults hold the function that runs it and whether it passes options to Beam."""
    parser = CommandParser(
        prog="earmark", usage="earmark COMMAND …", description=DESCRIPTION, epilog=EXAMPLES, add_help=False
    )
    parser.add_argument("-h", "--help", action="help", help="show this help and exit; see also earmark COMMAND --help")
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
        command.add_argument("--verbose", action="store_true", help="log more and show stack traces")
    return parser


class _Version(argparse.Action):
    """Print the version of the installed distribution, which is looked up only here."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from importlib.metadata import version

        print(f"earmark {version('earmark')}")
        parser.exit()


def _refuse_unknown(beam_args: Sequence[str], command: argparse.ArgumentParser) -> None:
    """Refuse options that neither earmark nor Beam has.

    With a runner, whose job server may have options of its own, refuse only misspelt options of earmark.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = argparse.ArgumentParser(prog="earmark annotate", add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(beam)
    parsed, unknown = beam.parse_known_args(beam_args)
    if parsed.runner is None:
        _refuse(unknown, command, [*options_of(command), *options_of(beam)])
    else:
        job_options = [f"--{field.name}" for field in FLAGS]
        names = [argument.partition("=")[0] for argument in unknown]
        close = [name for name in names if difflib.get_close_matches(name, job_options, n=1, cutoff=0.8)]
        _refuse(close, command, options_of(command))


def _refuse(unknown: Sequence[str], parser: argparse.ArgumentParser, options: list[str]) -> None:
    """End the command at the first unknown argument; `options` are the candidates to suggest instead."""
    for argument in unknown:
        name = argument.partition("=")[0]
        if name.startswith("-"):
            parser.error(f"there is no option {name}{suggest(name, options)}")
        parser.error(f"unexpected argument: {argument}")


if __name__ == "__main__":
    sys.exit(main())
