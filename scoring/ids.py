"""Some recordings by their ids: a count and a few examples."""

from dataclasses import dataclass

MAX_NAMED = 5  # ids that are named as examples


@dataclass(frozen=True, slots=True)
class Ids:
    """A number of recordings, and the first of their ids in order."""

    count: int
    first: tuple[str, ...]
