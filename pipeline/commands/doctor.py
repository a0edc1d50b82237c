"""The command `earmark doctor`. Imports nothing heavy at module level."""

import argparse
import logging
from collections.abc import Sequence

from earmark.pipeline.console.job_file import split_names
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands


def add_doctor_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    doctor = commands.add_parser(
        "doctor",
        help="check whether this machine is ready for a run",
        description="Check versions, devices, codecs (each decodes a tone), credentials (never printed), write"
        " permission and models. The network is used only for a remote output or model. The exit status is 1 if there"
        " is a problem.",
        epilog="example: earmark doctor gs://b/labels --model openai/whisper-large-v3",
    )
    doctor.set_defaults(run=_doctor, for_beam=False)
    doctor.add_argument("output", nargs="?", default="", help="folder or URL to test writing to; nothing is left there")
    doctor.add_argument(
        "--model",
        type=split_names,
        action="extend",
        default=[],
        metavar="MODEL,…",
        help="models to check, as in annotate; comma-separated",
    )
    doctor.add_argument("--scratch_dir", default="", metavar="FOLDER", help="scratch folder to check, as in annotate")
    doctor.add_argument("--json", action="store_true", help="print JSON")


def _doctor(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.doctor.check import Diagnosis
    from earmark.pipeline.doctor.report import examine, without_secrets
    from earmark.pipeline.views.doctor import print_checks, print_counts

    logging.getLogger("httpx2").setLevel(logging.WARNING)
    checks = (without_secrets(check) for check in examine(args.output, args.model, args.scratch_dir))
    diagnosis = Diagnosis.of(checks if args.json else print_checks(checks))
    if args.json:
        print_json(diagnosis)
    else:
        print_counts(diagnosis)
    return int(diagnosis.problems > 0)
