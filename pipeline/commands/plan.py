"""`earmark plan`: its arguments, and what runs it. Imports nothing heavy."""

import argparse
import time
from collections.abc import Sequence
from typing import Any

from earmark.pipeline.console.job_flags import add_config, add_job_flags, merge_options
from earmark.pipeline.console.logging_setup import set_up_logging

Commands = Any  # argparse has no public name for what add_subparsers() returns


def add_plan_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`."""
    plan = commands.add_parser(
        "plan",
        help="say what annotate would do, and touch nothing",
        description="Says what a run would do, what it would find in a random sample, and what it would take. Nothing"
        " is written but into a temporary folder. It takes the options of annotate.",
        epilog="example: earmark plan calls.jsonl labels --model openai/whisper-large-v3",
    )
    plan.set_defaults(run=_plan, for_beam=False)
    plan.add_argument("manifest")
    plan.add_argument("output", nargs="?", default="", help="what is done there already is left out")
    plan.add_argument(
        "--probe",
        type=int,
        default=50,
        metavar="N",
        help="decode N recordings, chosen at random, and say what is odd about them (default: 50; 0: none)",
    )
    plan.add_argument(
        "--measure",
        type=int,
        default=0,
        metavar="N",
        help="annotate N of them here, with the job's models, to estimate the time here; models are fetched for it",
    )
    plan.add_argument("--seed", type=int, default=0, help="decides which recordings are chosen")
    plan.add_argument(
        "--speeds", default="", metavar="FILE", help="measured speeds, before those of earmark's own table"
    )
    plan.add_argument("--prices", default="", metavar="FILE", help="prices of machines, instead of earmark's own table")
    plan.add_argument("--json", action="store_true", help="print JSON, with all figures")
    add_config(plan)
    add_job_flags(plan)


def _plan(known: argparse.Namespace, rest: Sequence[str]) -> int:
    set_up_logging(known.verbose)
    began = time.perf_counter()
    from earmark.pipeline.console.json_output import print_json
    from earmark.pipeline.plan.report import PlanOptions, report_plan
    from earmark.pipeline.views.plan import print_plan

    if known.measure:  # what a run imports is a part of its time, and would be imported unnoticed by the probe
        import silero_vad  # noqa: F401
        import transformers  # noqa: F401

        import earmark.pipeline.plan.measure  # noqa: F401

    asked = PlanOptions(known.probe, known.measure, known.seed, known.speeds, known.prices)
    report = report_plan(known.manifest, known.output, merge_options(known), asked, time.perf_counter() - began)
    if known.json:
        print_json(report)
    else:
        print_plan(report)
    return 0
