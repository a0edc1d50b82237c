"""Figures of a measure, with their intervals, and their names for people."""

from collections.abc import Mapping

import numpy as np

from earmark.scoring.intervals import Interval, intervals
from earmark.scoring.pairs import Figure, Measure

# Names of figures for people; all figures but POINTS are shown as percentages.
NAMES = {
    "wer": "word error rate",
    "cer": "character error rate",
    "bleu": "BLEU",
    "chrf": "chrF",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "agreement": "agreement",
    "kappa": "Cohen's kappa",
}
POINTS = ("bleu", "chrf", "kappa")


def figures_of(measure: Measure, answered: np.ndarray, resamples: int, seed: int) -> tuple[Figure, ...]:
    """All figures of a measure.

    Args:
        answered: float64 of shape (rows,): 1.0 for a row with an answer, 0.0 for a failure.
    """
    values = finite(measure.figures(np.ones(len(answered))))
    without = finite(measure.figures(answered))
    by_name = intervals(measure.figures, len(answered), resamples, seed)
    return tuple(_figure(name, value, by_name.get(name), without[name]) for name, value in values.items())


def _figure(name: str, value: float | None, interval: Interval | None, without_failures: float | None) -> Figure:
    low, high = interval or (None, None)
    return Figure(name, value, low, high, without_failures)


def finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in figures.items()}
