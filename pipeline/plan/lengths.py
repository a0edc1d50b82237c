"""How long recordings are: what the manifest says, and of the others what a random sample makes likely."""

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from earmark.schemas.records import MAX_SEGMENT_S

# Seconds: a word, a segment, a call, a shard (PackShards cuts at 30 min).
BOUNDS_S = (5.0, float(MAX_SEGMENT_S), 300.0, 1800.0)
NORMAL_95 = 1.96  # standard errors on each side that hold 95 %


@dataclass(frozen=True, slots=True)
class LengthClass:
    """Recordings of `from_s` up to less than `to_s` seconds (None: no bound), and their seconds of audio.

    `estimated_…` are those whose length the manifest does not say, as far as the sample goes.
    """

    from_s: float
    to_s: float | None
    recordings: int
    seconds: float
    estimated_recordings: float = 0.0
    estimated_s: float = 0.0


class LengthCounter:
    """Counts lengths as they come by."""

    def __init__(self) -> None:
        self._counts, self._seconds = [0] * (len(BOUNDS_S) + 1), [0.0] * (len(BOUNDS_S) + 1)

    def add(self, duration_s: float) -> None:
        place = bisect.bisect_right(BOUNDS_S, duration_s)
        self._counts[place] += 1
        self._seconds[place] += duration_s

    def classes(self) -> tuple[LengthClass, ...]:
        uppers: list[float | None] = [*BOUNDS_S, None]
        return tuple(map(LengthClass, (0.0, *BOUNDS_S), uppers, self._counts, self._seconds))


def count_lengths(durations_s: Iterable[float]) -> tuple[LengthClass, ...]:
    """All classes, shortest first."""
    counter = LengthCounter()
    for duration_s in durations_s:
        counter.add(duration_s)
    return counter.classes()


@dataclass(frozen=True, slots=True)
class Lengths:
    """The audio of a plan.

    Attributes:
        known_s: what the manifest says of all recordings but `unknown`.
        probed: of the unknown, how many the sample has.
        estimated_s: of the unknown; None where there are some and none was probed.
        error_s: half of the 95 % interval of estimated_s; None where fewer than two were probed.
        audio_s: all of it; None where estimated_s is.
    """

    classes: tuple[LengthClass, ...]
    known_s: float
    unknown: int
    probed: int
    estimated_s: float | None
    error_s: float | None
    audio_s: float | None


def estimate_lengths(known: Sequence[LengthClass], unknown: int, probed_s: Sequence[float]) -> Lengths:
    """Puts together what the manifest says and what was found in a random sample of the `unknown` others.

    Args:
        known: the lengths that the manifest says, in all classes of count_lengths.
        probed_s: of the sampled recordings whose length it does not say; 0 for one that cannot be decoded, which is
            no work.
    """
    known_s = sum(length.seconds for length in known)
    n = len(probed_s)
    if not unknown or not n:
        nothing = None if unknown else 0.0
        return Lengths(tuple(known), known_s, unknown, n, nothing, nothing, None if unknown else known_s)
    each = unknown / n  # recordings that one of the sample stands for
    sampled = count_lengths(duration_s for duration_s in probed_s if duration_s > 0)
    classes = tuple(
        LengthClass(of.from_s, of.to_s, of.recordings, of.seconds, found.recordings * each, found.seconds * each)
        for of, found in zip(known, sampled, strict=True)
    )
    error_s = None
    if n > 1:
        left_out = max(0.0, 1 - n / unknown)  # of all that there are; none left, no error
        error_s = NORMAL_95 * unknown * math.sqrt(statistics.variance(probed_s) / n * left_out)
    estimated_s = sum(probed_s) * each
    return Lengths(classes, known_s, unknown, n, estimated_s, error_s, known_s + estimated_s)
