"""The failures of an output that stand, by their cause."""

from collections.abc import Iterable

from earmark.reporting.report.figures import FailureCause
from earmark.schemas.records import Failure

EXAMPLES = 5


class StandingFailures:
    """The latest failure of each recording, until the recording turns out to be annotated; they are all in memory."""

    def __init__(self) -> None:
        self._by_id: dict[str, Failure] = {}

    def add(self, failures: Iterable[Failure]) -> None:
        for failure in failures:
            before = self._by_id.get(failure.id)
            if before is None or before.run_id <= failure.run_id:
                self._by_id[failure.id] = failure

    def leave_out(self, annotated: Iterable[str]) -> None:
        """An annotation stands above a failure of another run."""
        if self._by_id:
            for id in annotated:
                self._by_id.pop(id, None)

    def causes(self) -> list[FailureCause]:
        """Most frequent first."""
        found: dict[tuple[str, str], list[Failure]] = {}
        for failure in self._by_id.values():
            found.setdefault((failure.stage, failure.error), []).append(failure)
        causes = [
            FailureCause(*cause, len(those), tuple(sorted(those, key=lambda failure: failure.id)[:EXAMPLES]))
            for cause, those in found.items()
        ]
        return sorted(causes, key=lambda cause: (-cause.count, cause.stage, cause.error))
