"""`earmark doctor`: its arguments, and what runs it. Imports nothing heavy."""

import argparse
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from earmark.pipeline.console.job_file import split_names
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands

if TYPE_CHECKING:
    from earmark.pipeline.doctor.check import Check

STYLES = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}


def add_doctor_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`."""
    doctor = commands.add_parser(
        "doctor",
        help="say whether this machine has what a run needs",
        description="Looks at versions, devices, codecs (each decodes a tone), credentials (none is shown), the right"
        " to write, and models. Asks the network only about an output or a model that is elsewhere. Ends with status 1"
        " where there is a problem.",
        epilog="example: earmark doctor gs://b/labels --model openai/whisper-large-v3",
    )
    doctor.set_defaults(run=_doctor, for_beam=False)
    doctor.add_argument("output", nargs="?", default="", help="folder or URL to try to write to; nothing stays there")
    doctor.add_argument(
        "--model", type=split_names, action="extend", default=[], help="models to look for, as in annotate; by commas"
    )
    doctor.add_argument("--scratch_dir", default="", help="as in annotate")
    doctor.add_argument("--json", action="store_true", help="print JSON")


def _doctor(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.doctor.check import Diagnosis
    from earmark.pipeline.doctor.report import examine, without_secrets

    logging.getLogger("httpx2").setLevel(logging.WARNING)
    found = (without_secrets(check) for check in examine(known.output, known.model, known.scratch_dir))
    diagnosis = Diagnosis.of(found if known.json else _printed(found))
    if known.json:
        print_json(diagnosis)
    else:
        print(f"{diagnosis.problems} problems, {diagnosis.warnings} warnings")
    return int(diagnosis.problems > 0)


def _printed(checks: Iterable["Check"]) -> Iterator["Check"]:
    """The same checks, each printed when it is made: some take a moment."""
    from rich.text import Text

    from earmark.pipeline.console.console import console
    from earmark.reporting.text.plain_text import visible

    topic = ""
    for check in checks:
        if check.topic != topic:
            topic = check.topic
            console.print(Text(topic, "bold"))
        line = Text(f"  {check.status:8}", STYLES[check.status])
        line.append(f"{visible(check.name)}: {visible(check.found)}", "default not bold")
        console.print(line, soft_wrap=True)
        if check.remedy:
            console.print(Text(f"          {visible(check.remedy)}"), soft_wrap=True)
        yield check
