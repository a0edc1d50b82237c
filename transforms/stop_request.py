"""A wish to stop: what is in hand is still finished, and nothing else is begun.

It is known in this process only. Who asks is a signal handler, which cuts in anywhere, also in the middle of what is
below: so nothing here takes a lock, and every step is one of a dict or a set, which the interpreter does not divide.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

_asked: dict[str, int] = {}
_in_flight: dict[str, set[str]] = {}
_has_progress: set[str] = set()


@dataclass(frozen=True, slots=True)
class StopRequest:
    """The wish to stop one run."""

    run_id: str

    def ask(self, signal_number: int) -> None:
        """Asks on behalf of the signal; for a run that has ended it changes nothing."""
        _asked[self.run_id] = signal_number

    @property
    def signal_number(self) -> int | None:
        """Of the signal that has asked; None where none has."""
        return _asked.get(self.run_id)

    @contextlib.contextmanager
    def in_flight(self, name: str) -> Iterator[bool]:
        """Counts a piece of work as in hand while the context lasts; False where it is not to be begun any more."""
        pieces = _in_flight.setdefault(self.run_id, set())
        pieces.add(name)  # before the look: who asks then sees this piece, or this piece sees that somebody has asked
        try:
            yield self.signal_number is None
        finally:
            pieces.discard(name)

    def count_in_flight(self) -> int:
        return len(_in_flight.get(self.run_id, ()))

    def mark_progress(self) -> None:
        """Says that from now on there is work in hand whose loss would be dear."""
        _has_progress.add(self.run_id)

    @property
    def has_progress(self) -> bool:
        return self.run_id in _has_progress


NEVER_STOPPED = StopRequest("")  # for pipelines that are no run of earmark's
