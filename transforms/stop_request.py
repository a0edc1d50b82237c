"""A request to stop a run: work in flight is finished, and no other is started.

It is known in this process only. It comes from a signal handler, which may interrupt any code, also the code below: so
nothing here takes a lock, and every step is one operation of a dict or a set, which the interpreter does not divide.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

_signals: dict[str, int] = {}
_in_flight: dict[str, set[str]] = {}
_has_progress: set[str] = set()


@dataclass(frozen=True, slots=True)
class StopRequest:
    """The request to stop one run, if there is any."""

    run_id: str

    def request(self, signal_number: int) -> None:
        """Request the stop on behalf of a signal; for a run that has ended it changes nothing."""
        _signals[self.run_id] = signal_number

    @property
    def signal_number(self) -> int | None:
        """Number of the signal that requested the stop; None if no stop was requested."""
        return _signals.get(self.run_id)

    @contextlib.contextmanager
    def in_flight(self, name: str) -> Iterator[bool]:
        """Count a piece of work as in flight inside the context; False if it must not be started any more."""
        pieces = _in_flight.setdefault(self.run_id, set())
        pieces.add(name)  # before the check: the signal handler counts this piece, or this piece sees the request
        try:
            yield self.signal_number is None
        finally:
            pieces.discard(name)

    def count_in_flight(self) -> int:
        return len(_in_flight.get(self.run_id, ()))

    def mark_progress(self) -> None:
        """Note that from now on work is in flight whose loss would be expensive."""
        _has_progress.add(self.run_id)

    @property
    def has_progress(self) -> bool:
        return self.run_id in _has_progress


NEVER_STOPPED = StopRequest("")  # for pipelines that are not a run of earmark
