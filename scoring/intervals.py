"""95 % bootstrap intervals: recordings are drawn with replacement, and figures computed for each draw."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.stats

CONFIDENCE = 0.95
DRAWN_AT_ONCE = 4_000_000  # row numbers in memory

Interval = tuple[float, float]


def intervals(
    figures: Callable[[np.ndarray], Mapping[str, float]], rows: int, resamples: int, seed: int
) -> Mapping[str, Interval]:
    """Percentile intervals of figures that depend on the number of times each row is drawn.

    The same number of rows and seed give the same draws, so the interval of a difference between systems is that of a
    figure which computes the difference.

    Args:
        figures: Function like Measure.figures.
        resamples: Number of draws; 0 for no intervals.

    Returns:
        (low, high) by the name of the figure, without the figures that are undefined for some draw; empty for fewer
        than two rows.
    """
    if not resamples or rows < 2:
        return {}
    names = [name for name, value in figures(np.ones(rows)).items() if np.isfinite(value)]
    if not names:
        return {}

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        """Figures of shape (figures, draws) from row numbers of shape (draws, rows)."""
        by_draw = [figures(np.bincount(draw, minlength=rows).astype(np.float64)) for draw in np.atleast_2d(drawn)]
        return _transposed(by_draw, names).reshape(len(names), *drawn.shape[:-1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)  # such an interval is left out
        interval = scipy.stats.bootstrap(
            (np.arange(rows),),
            statistic,
            n_resamples=resamples,
            batch=max(1, DRAWN_AT_ONCE // rows),
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    pairs = zip(names, np.atleast_1d(interval.low), np.atleast_1d(interval.high), strict=True)
    return {name: (float(low), float(high)) for name, low, high in pairs if np.isfinite([low, high]).all()}


def _transposed(by_draw: Sequence[Mapping[str, float]], names: Sequence[str]) -> np.ndarray:
    return np.array([[figures[name] for figures in by_draw] for name in names])
