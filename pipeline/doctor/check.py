"""The findings of `earmark doctor`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        topic: Subject, such as "codecs".
        name: Name of the thing that was checked.
        status: "ok"; a "warning" hinders some runs; a "problem" every run that needs the thing.
        found: Finding in a sentence.
        remedy: Instruction; "" where nothing needs to be done.
    """

    topic: str
    name: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, with the numbers of warnings and problems."""

    checks: tuple[Check, ...]
    warnings: int
    problems: int

    @classmethod
    def of(cls, checks: Iterable[Check]) -> "Diagnosis":
        listed = tuple(checks)
        counts = {status: sum(check.status == status for check in listed) for status in ("warning", "problem")}
        return cls(listed, counts["warning"], counts["problem"])
