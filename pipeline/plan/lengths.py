"""Lengths of recordings: from the manifest, and for the others estimated from a random sample."""

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

    `estimated_…` cover the recordings without a length in the manifest, extrapolated from the sample.
    """

    from_s: float
    to_s: float | None
    recordings: int
    seconds: float
    estimated_recordings: float = 0.0
    estimated_s: float = 0.0


class LengthCounter:
    """Counts recordings and seconds by class of length."""

    def __init__(self) -> None:
        self._counts, self._seconds = [0] * (len(BOUNDS_S) + 1), [0.0] * (len(BOUNDS_S) + 1)

    def add(self, duration_s: float) -> None:
        index = bisect.bisect_right(BOUNDS_S, duration_s)
        self._counts[index] += 1
        self._seconds[index] += duration_s

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
        classes: Recordings by length, shortest first.
        known_s: Seconds of the recordings whose length the manifest has.
        unknown: Number of recordings without a length in the manifest.
        probed: Number of those in the sample.
        estimated_s: Estimated seconds of the unknown recordings; None where none was probed.
        error_s: Half of the 95 % interval of estimated_s; None where fewer than two were probed.
        audio_s: Seconds of all recordings; None where estimated_s is None.
    """

    classes: tuple[LengthClass, ...]
    known_s: float
    unknown: int
    probed: int
    estimated_s: float | None
    error_s: float | None
    audio_s: float | None


def estimate_lengths(known: Sequence[LengthClass], unknown: int, probed_s: Sequence[float]) -> Lengths:
    """Combine the lengths in the manifest with those of a random sample of the `unknown` others.

    Args:
        known: Lengths in the manifest, in all classes of count_lengths.
        unknown: Number of recordings without a length in the manifest.
        probed_s: Seconds of the sampled recordings without one; 0 for one that cannot be decoded, which takes no work.
    """
    known_s = sum(length.seconds for length in known)
    n = len(probed_s)
    if not unknown or not n:
        nothing = None if unknown else 0.0
        return Lengths(tuple(known), known_s, unknown, n, nothing, nothing, None if unknown else known_s)
    each = unknown / n  # recordings that one of the sample represents
    sampled = count_lengths(duration_s for duration_s in probed_s if duration_s > 0)
    classes = tuple(
        LengthClass(of.from_s, of.to_s, of.recordings, of.seconds, part.recordings * each, part.seconds * each)
        for of, part in zip(known, sampled, strict=True)
    )
    error_s = None
    if n > 1:
        unsampled = max(0.0, 1 - n / unknown)  # without an unsampled recording there is no error
        error_s = NORMAL_95 * unknown * math.sqrt(statistics.variance(probed_s) / n * unsampled)
    estimated_s = sum(probed_s) * each
    return Lengths(classes, known_s, unknown, n, estimated_s, error_s, known_s + estimated_s)
