"""The command `earmark`. Imports what is heavy only when a command needs it: child processes import this file too."""

import argparse
import contextlib
import difflib
import os
import signal
import sys
from collections.abc import Sequence

from pipeline.benchmark_command import add_benchmark_command
from pipeline.job_file import suggest
from pipeline.job_flags import FLAGS, add_config, add_job_flags, merge_options
from pipeline.report_command import add_report_command
from pipeline.scoring_commands import add_scoring_commands
from pipeline.set_up import set_up_logging, stop_on_sigterm
from schemas.errors import JobError, MachineError

DESCRIPTION = "Labels a corpus of recordings: a manifest in, Parquet out. Start the same command again to go on."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0 when the job ran, 1 when it could not, 2 for a wrong command."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in arguments
    try:
        return _run([argument for argument in arguments if argument != "--verbose"], verbose)
    except (JobError, MachineError) as error:
        if verbose:
            raise
        print(f"earmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("earmark: stopped; what is written is complete, start the same command again to go on", file=sys.stderr)
        sys.stderr.flush()
        _end_children()
        # Threads are still in the middle of their shards; the ordinary way out would wait for them, or crash on them.
        os._exit(128 + (stop.args[0] if stop.args else signal.SIGINT))


def _end_children() -> None:
    """Beam's job server is a process that only an ordinary way out would end; the others end by themselves."""
    import psutil

    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()


def _run(arguments: Sequence[str], verbose: bool) -> int:
    """Runs the function of the command: `run(known, rest)`, where `rest` is what Beam's runners are to understand."""
    parser = build_parser()
    known, rest = parser.parse_known_args(["benchmark", "--list"] if arguments == ["benchmark"] else arguments)
    known.verbose = verbose
    if known.for_beam:
        _refuse_unknown(rest, parser, known.command_parser)
    else:
        _refuse(rest, parser, _options(known.command_parser))
    return int(known.run(known, rest))


def _annotate(known: argparse.Namespace, rest: Sequence[str]) -> int:
    options = merge_options(known)
    set_up_logging(known.verbose)
    from pipeline.annotate import annotate

    stop_on_sigterm()
    return annotate(known.manifest, known.output, options, rest)


def _plan(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from pipeline.plan import make_plan
    from pipeline.runner import default_workers
    from pipeline.terminal import print_plan

    options = merge_options(known)
    options.check()
    print_plan(make_plan(known.manifest, known.output, options, default_workers()))
    return 0


def _tasks(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from pipeline.terminal import print_tasks

    print_tasks(merge_options(known).known_tasks().values())
    return 0


def _compact(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from pipeline.compact import compact, print_compaction

    set_up_logging(known.verbose)
    stop_on_sigterm()
    print_compaction(compact(known.output, known.part_mb, known.take_over))
    return 0


def _parts(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from pipeline.compact import part_urls

    print(*part_urls(known.output), sep="\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Every command says in its defaults which function runs it, and whether it passes options on to Beam."""
    parser = argparse.ArgumentParser(prog="earmark", description=DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    annotate = commands.add_parser(
        "annotate",
        help="label the recordings of a manifest",
        description=f"{DESCRIPTION} Options of Beam's runners are passed on to them.",
        allow_abbrev=False,
    )
    annotate.set_defaults(run=_annotate, for_beam=True)
    annotate.add_argument("manifest", help="JSONL, CSV, TSV, Parquet or tar, a folder or glob of audio")
    annotate.add_argument("output", help="folder or URL that the Parquet goes to")
    plan = commands.add_parser("plan", help="say what annotate would do, and touch nothing", allow_abbrev=False)
    plan.set_defaults(run=_plan, for_beam=False)
    plan.add_argument("manifest")
    plan.add_argument("output", nargs="?", default="", help="what is done there already is left out")
    tasks = commands.add_parser("tasks", help="list what can be asked, and how it is asked", allow_abbrev=False)
    tasks.set_defaults(run=_tasks, for_beam=False)
    compact = commands.add_parser(
        "compact", help="merge the small parts of an output into large ones", allow_abbrev=False
    )
    compact.set_defaults(run=_compact, for_beam=False)
    compact.add_argument("--part_mb", type=int, default=128, help="largest part to make; parts below half are merged")
    compact.add_argument("--take_over", action="store_true", help="take the output over from a run that has not ended")
    parts = commands.add_parser(
        "parts", help="list the files that hold the annotations, each row once", allow_abbrev=False
    )
    parts.set_defaults(run=_parts, for_beam=False)
    for command in (compact, parts):
        command.add_argument("output", help="folder or URL that annotate has written to")
    for command in (annotate, plan, tasks):
        add_config(command)
    for command in (annotate, plan):
        add_job_flags(command)
    add_benchmark_command(commands)
    add_scoring_commands(commands)
    add_report_command(commands)
    for command in commands.choices.values():
        command.set_defaults(command_parser=command)
        command.add_argument("--verbose", action="store_true", help="log more, and show stack traces")
    return parser


def _refuse_unknown(rest: Sequence[str], parser: argparse.ArgumentParser, command: argparse.ArgumentParser) -> None:
    """Refuses what neither earmark nor Beam knows; with a runner, whose job server may know more, misspellings only."""
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = argparse.ArgumentParser(prog="earmark annotate", add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(beam)
    known, unknown = beam.parse_known_args(rest)
    if known.runner is None:
        _refuse(unknown, parser, [*_options(command), *_options(beam)])
    else:
        ours = [f"--{field.name}" for field in FLAGS]
        names = [argument.partition("=")[0] for argument in unknown]
        close = [name for name in names if difflib.get_close_matches(name, ours, n=1, cutoff=0.8)]
        _refuse(close, parser, _options(command))


def _refuse(unknown: Sequence[str], parser: argparse.ArgumentParser, options: list[str]) -> None:
    """Ends the command at the first of the arguments that nobody knows; `options` are those that could be meant."""
    for argument in unknown:
        name = argument.partition("=")[0]
        if name.startswith("-"):
            parser.error(f"there is no option {name}{suggest(name, options)}")
        parser.error(f"there is one argument too many: {argument}")


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return list(parser._option_string_actions)


if __name__ == "__main__":
    sys.exit(main())
