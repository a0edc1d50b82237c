"""Accuracy, F1 and confusions of labels, as in scikit-learn, and the calibration of their scores."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from earmark.scoring.ids import MAX_NAMED, Ids
from earmark.scoring.pairs import Pair

FAILED = "(failed)"  # the answer of a failed recording, which is always wrong
BINS = 15  # of equal width, as Guo et al. (2017), "On Calibration of Modern Neural Networks"


@dataclass(frozen=True, slots=True)
class Confusion:
    """Number of recordings by reference and answered label.

    Attributes:
        references: Labels in the references, sorted.
        hypotheses: Labels in the references or the answers, sorted.
        counts: A row for each of `references`, a column for each of `hypotheses`.
    """

    references: tuple[str, ...]
    hypotheses: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Answers with a score above `low` and at most `high`."""

    low: float
    high: float
    rows: int
    mean_score: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of scores: how far a score equals the share of right answers.

    Attributes:
        ece: Expected calibration error, the mean over the answers of |accuracy - mean score| of their bins.
        rows: Number of answers with a score.
        bins: Bins that have answers.
    """

    ece: float
    rows: int
    bins: tuple[CalibrationBin, ...]


class LabelMatches:
    """Reference and answer of each row.

    A label is right where it equals the reference, letter by letter but for surrounding space, as in the published
    evaluation. F1 averages over the labels in the references: a label that is only answered has no recall.
    """

    accepts_blank_references = False  # an empty cell of a table is no label

    def __init__(self, labels: Sequence[str] = ()) -> None:
        """`labels`: Labels of the task; empty for an open set."""
        self._labels = frozenset(labels)
        self._unknown_count, self._unknown_ids = 0, list[str]()
        self._codes: dict[str, int] = {FAILED: 0}
        self._references, self._hypotheses = array("i"), array("i")
        self._scores = array("d")

    def add(self, pairs: Sequence[Pair]) -> list[float]:
        badness = []
        for pair in pairs:
            if self._labels and pair.reference.strip() not in self._labels:
                self._unknown_count += 1
                self._unknown_ids += [pair.id] if len(self._unknown_ids) < MAX_NAMED else []
            reference = self._code(pair.reference.strip())
            hypothesis = self._code(FAILED if pair.failed else pair.hypothesis.strip())
            self._references.append(reference)
            self._hypotheses.append(hypothesis)
            self._scores.append(float("nan") if pair.score is None else pair.score)
            badness.append(0.0 if reference == hypothesis else 1.0 + (pair.score or 0.0))
        return badness

    def _code(self, label: str) -> int:
        return self._codes.setdefault(label, len(self._codes))

    def figures(self, weights: np.ndarray) -> Mapping[str, float]:
        references, hypotheses = self._rows()
        if not weights.any():
            return dict.fromkeys(("accuracy", "macro_f1", "weighted_f1"), float("nan"))
        size = len(self._codes)
        expected, answered = np.bincount(references, weights, size), np.bincount(hypotheses, weights, size)
        right = np.bincount(references, weights * (references == hypotheses), size)
        in_references = expected > 0
        # As f1_score of scikit-learn with the references' labels, which takes seconds for a thousand draws.
        f1 = 2 * right[in_references] / (expected + answered)[in_references]
        return {
            "accuracy": float(right.sum() / weights.sum()),
            "macro_f1": float(f1.mean()),
            "weighted_f1": float(np.average(f1, weights=expected[in_references])),
        }

    def agreement(self) -> Mapping[str, float]:
        accuracy = self.figures(np.ones(len(self._references)))["accuracy"]
        return {"agreement": accuracy, "kappa": self.kappa()}

    def details(self) -> dict[str, Any]:
        return {
            "unknown_labels": Ids(self._unknown_count, tuple(self._unknown_ids)),
            "confusion": self.confusion(),
            "calibration": self.calibration(),
        }

    def words(self, pair: Pair) -> None:
        return None

    def confusion(self) -> Confusion:
        references, hypotheses = self._rows()
        names = sorted(self._codes, key=lambda name: (name == FAILED, name))
        rows = [name for name in names if np.any(references == self._codes[name])]
        columns = [name for name in names if name in rows or np.any(hypotheses == self._codes[name])]
        counts = tuple(
            tuple(
                int(np.sum((references == self._codes[row]) & (hypotheses == self._codes[column])))
                for column in columns
            )
            for row in rows
        )
        return Confusion(tuple(rows), tuple(columns), counts)

    def kappa(self) -> float:
        """Cohen's kappa, the agreement beyond chance; NaN where there is only one label."""
        references, hypotheses = self._rows()
        if len(np.union1d(references, hypotheses)) < 2:
            return float("nan")
        return float(cohen_kappa_score(references, hypotheses))

    def calibration(self) -> Calibration | None:
        """The calibration of the scores; None where no answer has one."""
        references, hypotheses = self._rows()
        scores = np.frombuffer(self._scores, np.float64)
        has_score = ~np.isnan(scores)
        if not has_score.any():
            return None
        scores, right = scores[has_score], (references == hypotheses)[has_score]
        edges = np.linspace(0.0, 1.0, BINS + 1)
        bin_of_row = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, BINS - 1)
        bins = []
        for number in np.unique(bin_of_row):
            inside = bin_of_row == number
            means = float(scores[inside].mean()), float(right[inside].mean())
            bins.append(CalibrationBin(float(edges[number]), float(edges[number + 1]), int(inside.sum()), *means))
        ece = sum(interval.rows * abs(interval.accuracy - interval.mean_score) for interval in bins) / len(scores)
        return Calibration(ece, len(scores), tuple(bins))

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        return np.frombuffer(self._references, np.int32), np.frombuffer(self._hypotheses, np.int32)
