"""The command `earmark benchmark`: its arguments, and what runs it. Imports nothing heavy."""

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
    """Adds the command to those of `earmark`; `commands` is what add_subparsers() returned."""
    command = commands.add_parser(
        "benchmark",
        help="run a set of the published table, and print measured beside published",
        description="Annotates the recordings of a published benchmark as `earmark annotate` does, scores the answers"
        " as they were scored for the published table, and prints what was measured beside what was published. Start"
        " the same command again to go on. Options of Beam's runners are passed on to them.",
    )
    command.set_defaults(run=_benchmark, for_beam=True)
    command.add_argument("name", help="of the benchmark; --list shows all")
    command.add_argument("data", help="folder or URL that the set was downloaded to, as it is when unpacked")
    command.add_argument("output", help="folder or URL for manifest, annotations and benchmark.json")
    command.add_argument(
        "--list", action=_List, nargs=0, help="show all benchmarks and the folders they want, and exit"
    )
    command.add_argument(
        "--judge",
        default="",
        metavar="URL#MODEL",
        help="chat endpoint that judges answers to AIR-Bench: https://host/v1/chat/completions#MODEL; EARMARK_API_KEY"
        " holds its key",
    )
    command.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="resamples of the interval; 0 for none (default: 1000)"
    )
    command.add_argument("--seed", type=int, default=0, help="of the resamples")
    command.add_argument("--json", action="store_true", help="print JSON")
    add_config(command)
    add_job_flags(command, without=FIXED_OPTIONS)


class _List(argparse.Action):
    """Prints the list instead of running the command, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from earmark.pipeline.views.benchmark import print_benchmarks
        from earmark.scoring.benchmarks import benchmarks

        print_benchmarks(benchmarks().values())
        parser.exit()


def _benchmark(known: argparse.Namespace, rest: Sequence[str]) -> int:
    options = merge_options(known)
    set_up_logging(known.verbose)
    from earmark.pipeline.benchmark import ScoreOptions, benchmark
    from earmark.pipeline.views.benchmark import print_scores
    from earmark.scoring.benchmark_scores import Resampling

    stop_on_sigterm()
    scoring = ScoreOptions(known.judge, Resampling(known.bootstrap, known.seed))
    with contextlib.redirect_stdout(sys.stderr if known.json else sys.stdout):
        scores = benchmark(known.name, known.data, known.output, options, rest, scoring)
    if scores is None:
        return 1
    if known.json:
        print(scores.to_json(), end="")
    else:
        print_scores(scores, options.model)
    return 0
