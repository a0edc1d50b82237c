"""The unresolved failures of an output, by cause."""

from collections.abc import Iterable

from earmark.reporting.report.figures import FailureCause
from earmark.schemas.records import Failure

EXAMPLES = 5


class UnresolvedFailures:
    """The latest failure of each recording that is not annotated. All failures are in memory."""

    def __init__(self) -> None:
        self._by_id: dict[str, Failure] = {}

    def add(self, failures: Iterable[Failure]) -> None:
        for failure in failures:
            earlier = self._by_id.get(failure.id)
            if earlier is None or earlier.run_id <= failure.run_id:
                self._by_id[failure.id] = failure

    def resolve(self, annotated_ids: Iterable[str]) -> None:
        """Drop the failures of recordings that another run has annotated."""
        if self._by_id:
            for id in annotated_ids:
                self._by_id.pop(id, None)

    def causes(self) -> list[FailureCause]:
        """The causes, most frequent first."""
        by_cause: dict[tuple[str, str], list[Failure]] = {}
        for failure in self._by_id.values():
            by_cause.setdefault((failure.stage, failure.error), []).append(failure)
        causes = [
            FailureCause(*cause, len(failures), tuple(sorted(failures, key=lambda failure: failure.id)[:EXAMPLES]))
            for cause, failures in by_cause.items()
        ]
        return sorted(causes, key=lambda cause: (-cause.count, cause.stage, cause.error))
