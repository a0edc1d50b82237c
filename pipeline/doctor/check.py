"""The findings of `earmark doctor`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        topic: what it is about, such as "codecs".
        status: "ok"; a "warning" hinders some runs; a "problem" any that needs what was looked at.
        remedy: what to do; "" where there is nothing to be done.
    """

    topic: str
    name: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, and how many are warnings and problems."""

    checks: tuple[Check, ...]
    warnings: int
    problems: int

    @classmethod
    def of(cls, checks: Iterable[Check]) -> "Diagnosis":
        listed = tuple(checks)
        counts = {status: sum(check.status == status for check in listed) for status in ("warning", "problem")}
        return cls(listed, counts["warning"], counts["problem"])
