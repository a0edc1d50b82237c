"""95 % intervals by the bootstrap: recordings are drawn again, with replacement, and each draw has its figures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.stats

CONFIDENCE = 0.95
DRAWN_AT_ONCE = 4_000_000  # numbers of rows in memory

Interval = tuple[float, float]


def intervals(
    figures: Callable[[np.ndarray], Mapping[str, float]], rows: int, resamples: int, seed: int
) -> Mapping[str, Interval]:
    """Percentile intervals of figures that are functions of how often each row is there.

    Two systems that are given the same rows and seed are drawn alike; the interval of a difference is that of a figure
    which computes it.

    Args:
        figures: as Measure.figures.
        resamples: 0 for no intervals.

    Returns:
        By the name of the figure, (low, high). None of a figure that some draw has no value of; none at all of fewer
        than two rows.
    """
    if not resamples or rows < 2:
        return {}
    names = list(figures(np.ones(rows)))

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        """Shape (figures, draws), of row numbers of shape (draws, rows)."""
        of_each = [figures(np.bincount(draw, minlength=rows).astype(np.float64)) for draw in np.atleast_2d(drawn)]
        return _transposed(of_each, names).reshape(len(names), *drawn.shape[:-1])

    found = scipy.stats.bootstrap(
        (np.arange(rows),),
        statistic,
        n_resamples=resamples,
        batch=max(1, DRAWN_AT_ONCE // rows),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    pairs = zip(names, np.atleast_1d(found.low), np.atleast_1d(found.high), strict=True)
    return {name: (float(low), float(high)) for name, low, high in pairs if np.isfinite([low, high]).all()}


def _transposed(of_each: Sequence[Mapping[str, float]], names: Sequence[str]) -> np.ndarray:
    return np.array([[one[name] for one in of_each] for name in names])
