"""A wish to stop: what is in hand is still finished, and nothing else is begun.

It is known in this process only. Who asks is a signal handler, which cuts in anywhere, also in the middle of what is
below: so nothing here takes a lock, and every step is one of a dict or a set, which the interpreter does not divide.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

_asked: dict[str, int] = {}
_in_hand: dict[str, set[str]] = {}
_worth_waiting: set[str] = set()


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
    def in_hand(self, name: str) -> Iterator[bool]:
        """Counts a piece of work as in hand while the context lasts; False where it is not to be begun any more."""
        pieces = _in_hand.setdefault(self.run_id, set())
        pieces.add(name)  # before the look: who asks then sees this piece, or this piece sees that somebody has asked
        try:
            yield self.signal_number is None
        finally:
            pieces.discard(name)

    def count_in_hand(self) -> int:
        return len(_in_hand.get(self.run_id, ()))

    def make_worth_waiting(self) -> None:
        """Says that from now on there is work in hand whose loss would be dear."""
        _worth_waiting.add(self.run_id)

    @property
    def worth_waiting(self) -> bool:
        return self.run_id in _worth_waiting
