"""Printed output of `earmark doctor`: its checks. Imports neither Beam nor torch."""

from collections.abc import Iterable, Iterator

from rich.text import Text

from earmark.pipeline.console.console import console
from earmark.pipeline.doctor.check import Check, Diagnosis
from earmark.reporting.text.plain_text import visible
from earmark.schemas.text import counted

STYLES = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}


def print_checks(checks: Iterable[Check]) -> Iterator[Check]:
    """Print each check as soon as it has been made, since some take a moment, and pass it on."""
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


def print_counts(diagnosis: Diagnosis) -> None:
    print(f"{counted(diagnosis.problems, 'problem')}, {counted(diagnosis.warnings, 'warning')}")
