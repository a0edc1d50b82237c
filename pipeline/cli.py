"""The command `earmark`. Imports what is heavy only when a command needs it: child processes import this file too."""

import argparse
import contextlib
import dataclasses
import difflib
import os
import signal
import sys
import typing
from collections.abc import Sequence
from types import FrameType
from typing import Any

from pipeline.job_file import read_job_file, split_names, suggest
from schemas.errors import JobError, MachineError
from schemas.job import JobOptions

FLAGS = [field for field in dataclasses.fields(JobOptions) if field.metadata["flag"]]
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
    parser = build_parser()
    known, rest = parser.parse_known_args(arguments)
    if known.command == "compact":
        from pipeline.compact import compact, print_compaction

        _refuse(rest, parser, [])
        _set_up_logging(verbose)
        signal.signal(signal.SIGTERM, _stop)
        print_compaction(compact(known.output, known.part_mb, known.take_over))
        return 0
    if known.command == "parts":
        from pipeline.compact import part_urls

        _refuse(rest, parser, [])
        print(*part_urls(known.output), sep="\n")
        return 0
    options = merge_options(known)
    if known.command == "tasks":
        from pipeline.terminal import print_tasks

        _refuse(rest, parser, [])
        print_tasks(options.known_tasks().values())
        return 0
    if known.command == "plan":
        from pipeline.plan import make_plan
        from pipeline.runner import default_workers
        from pipeline.terminal import print_plan

        _refuse(rest, parser, [])
        options.check()
        print_plan(make_plan(known.manifest, known.output, options, default_workers()))
        return 0
    _refuse_unknown(rest, parser)
    _set_up_logging(verbose)
    from pipeline.annotate import annotate

    signal.signal(signal.SIGTERM, _stop)
    return annotate(known.manifest, known.output, options, rest)


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal_number)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="earmark", description=DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    annotate = commands.add_parser(
        "annotate",
        help="label the recordings of a manifest",
        description=f"{DESCRIPTION} Options of Beam's runners are passed on to them.",
        allow_abbrev=False,
    )
    annotate.add_argument("manifest", help="JSONL, CSV, TSV, Parquet or tar, a folder or glob of audio")
    annotate.add_argument("output", help="folder or URL that the Parquet goes to")
    plan = commands.add_parser("plan", help="say what annotate would do, and touch nothing", allow_abbrev=False)
    plan.add_argument("manifest")
    plan.add_argument("output", nargs="?", default="", help="what is done there already is left out")
    tasks = commands.add_parser("tasks", help="list what can be asked, and how it is asked", allow_abbrev=False)
    compact = commands.add_parser(
        "compact", help="merge the small parts of an output into large ones", allow_abbrev=False
    )
    compact.add_argument("--part_mb", type=int, default=128, help="largest part to make; parts below half are merged")
    compact.add_argument("--take_over", action="store_true", help="take the output over from a run that has not ended")
    parts = commands.add_parser(
        "parts", help="list the files that hold the annotations, each row once", allow_abbrev=False
    )
    for command in (compact, parts):
        command.add_argument("output", help="folder or URL that annotate has written to")
    for command in (annotate, plan, tasks):
        command.add_argument("--config", default="", help="YAML file with options by name; flags win over it")
    for command in (annotate, plan, tasks, compact, parts):
        command.add_argument("--verbose", action="store_true", help="log more, and show stack traces")
    for command in (annotate, plan):
        for field in FLAGS:
            _add_flag(command, field)
    return parser


def _add_flag(command: argparse.ArgumentParser, field: "dataclasses.Field[Any]") -> None:
    kind = typing.get_type_hints(JobOptions)[field.name]
    shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    text = field.metadata["help"].replace("%", "%%")
    if shown not in ("", 0, False):
        text += f" (default: {shown})"
    if kind is bool:
        command.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        several = typing.get_origin(kind) is tuple
        command.add_argument(
            f"--{field.name}",
            type=split_names if several else kind,
            action="extend" if several else "store",
            default=None,
            metavar=field.name.upper(),
            help=text,
        )


def merge_options(known: argparse.Namespace) -> JobOptions:
    """Options from the flags, then the job file, then the defaults.

    Raises:
        JobError: the job file names what is no option, or gives it a value of another type.
    """
    values = read_job_file(known.config) if known.config else {}
    for field in dataclasses.fields(JobOptions):
        if (value := getattr(known, field.name, None)) is not None:
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return JobOptions(**values)


def _refuse_unknown(rest: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Refuses what neither earmark nor Beam knows; with a runner, whose job server may know more, misspellings only."""
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = argparse.ArgumentParser(prog="earmark annotate", add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(beam)
    known, unknown = beam.parse_known_args(rest)
    if known.runner is None:
        _refuse(unknown, parser, list(beam._option_string_actions))
    else:
        ours = [f"--{field.name}" for field in FLAGS]
        names = [argument.partition("=")[0] for argument in unknown]
        _refuse([name for name in names if difflib.get_close_matches(name, ours, n=1, cutoff=0.8)], parser, [])


def _refuse(unknown: Sequence[str], parser: argparse.ArgumentParser, beam_flags: list[str]) -> None:
    """Ends the command at the first of the arguments that nobody knows."""
    ours = [f"--{field.name}" for field in FLAGS]
    for argument in unknown:
        name = argument.partition("=")[0]
        if name.startswith("-"):
            parser.error(f"there is no option {name}{suggest(name, [*ours, *beam_flags])}")
        parser.error(f"there is one argument too many: {argument}")


def _set_up_logging(verbose: bool) -> None:
    """Beam and the libraries below it say at INFO what no user of a command line wants to read."""
    import logging
    import warnings

    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    logging.getLogger("earmark").setLevel(logging.DEBUG if verbose else logging.INFO)
    if not verbose:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"  # of child processes too, multiprocessing's own among them
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
