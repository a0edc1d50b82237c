"""The command `earmark benchmark`. Imports nothing heavy at module level."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from earmark.pipeline.console.job_flags import add_config, add_job_flags, merge_options
from earmark.pipeline.console.logging_setup import set_up_logging, stop_on_sigterm
from earmark.pipeline.console.parser import Commands
from earmark.scoring.benchmarks import FIXED_OPTIONS


def add_benchmark_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    command = commands.add_parser(
        "benchmark",
        help="reproduce a published benchmark",
        description="Annotate the recordings of a published benchmark as `earmark annotate` does, score the answers"
        " the way the published results were scored, and print measured next to published. Run the same command again"
        " to resume. Options of Beam are passed through to it.",
    )
    command.set_defaults(run=_benchmark, for_beam=True)
    command.add_argument("name", help="name of the benchmark; --list shows them all")
    command.add_argument("data", help="folder or URL of the downloaded data set, unpacked but otherwise unchanged")
    command.add_argument("output", help="folder or URL for the manifest, annotations and benchmark.json")
    command.add_argument(
        "--list", action=_List, nargs=0, help="list the benchmarks with the data that each needs, and exit"
    )
    command.add_argument(
        "--judge",
        default="",
        metavar="URL#MODEL",
        help="chat endpoint that judges AIR-Bench answers: https://host/v1/chat/completions#MODEL; its key is read from"
        " EARMARK_API_KEY",
    )
    command.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap resamples for the interval; 0 for none (default: 1000)",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the bootstrap")
    command.add_argument("--json", action="store_true", help="print JSON")
    add_config(command)
    add_job_flags(command, without=FIXED_OPTIONS)


class _List(argparse.Action):
    """Print the list and exit, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from earmark.pipeline.views.benchmark import print_benchmarks
        from earmark.scoring.benchmarks import benchmarks

        print_benchmarks(benchmarks().values())
        parser.exit()


def _benchmark(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    options = merge_options(args)
    set_up_logging(args.verbose)
    from earmark.pipeline.benchmark import ScoreOptions, run_benchmark
    from earmark.pipeline.views.benchmark import print_scores
    from earmark.scoring.benchmark_scores import Resampling

    stop_on_sigterm()
    scoring = ScoreOptions(args.judge, Resampling(args.bootstrap, args.seed))
    with contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
        scores = run_benchmark(args.name, args.data, args.output, options, beam_args, scoring)
    if scores is None:
        return 1
    if args.json:
        print(scores.to_json(), end="")
    else:
        print_scores(scores, options.model)
    return 0
