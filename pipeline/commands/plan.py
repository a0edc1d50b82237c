"""The command `earmark plan`. Imports nothing heavy at module level."""

import argparse
import time
from collections.abc import Sequence

from earmark.pipeline.console.job_flags import add_config, add_job_flags, merge_options
from earmark.pipeline.console.logging_setup import set_up_logging
from earmark.pipeline.console.parser import Commands


def add_plan_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    plan = commands.add_parser(
        "plan",
        help="preview a run; writes nothing",
        description="Preview a run: what is left to annotate, warnings from a random sample of the audio, and estimates"
        " of time, cost and memory. Writes nothing except temporary files. Takes the options of annotate.",
        epilog="example: earmark plan calls.jsonl labels --model openai/whisper-large-v3",
    )
    plan.set_defaults(run=_plan, for_beam=False)
    plan.add_argument("manifest", help="as in annotate")
    plan.add_argument("output", nargs="?", default="", help="as in annotate; recordings annotated there are done")
    plan.add_argument(
        "--probe",
        type=int,
        default=50,
        metavar="N",
        help="decode N random recordings and warn about suspicious audio; 0 for none (default: 50)",
    )
    plan.add_argument(
        "--measure",
        type=int,
        default=0,
        metavar="N",
        help="annotate N random recordings here to estimate how long the run takes here; downloads the models",
    )
    plan.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the sample")
    plan.add_argument(
        "--speeds", default="", metavar="FILE", help="YAML table of speeds that takes precedence over the built-in one"
    )
    plan.add_argument(
        "--prices", default="", metavar="FILE", help="YAML table of machine prices, instead of the built-in one"
    )
    plan.add_argument("--json", action="store_true", help="print JSON with every figure")
    add_config(plan)
    add_job_flags(plan)


def _plan(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    set_up_logging(args.verbose)
    began = time.perf_counter()
    from earmark.pipeline.console.json_output import print_json
    from earmark.pipeline.plan.report import PlanOptions, report_plan
    from earmark.pipeline.views.plan import print_plan

    if args.measure:  # imports are part of a run's start, and the probe would otherwise do them outside the timing
        import silero_vad  # noqa: F401
        import transformers  # noqa: F401

        import earmark.pipeline.plan.measure  # noqa: F401

    plan_options = PlanOptions(args.probe, args.measure, args.seed, args.speeds, args.prices)
    report = report_plan(args.manifest, args.output, merge_options(args), plan_options, time.perf_counter() - began)
    if args.json:
        print_json(report)
    else:
        print_plan(report)
    return 0
