"""Accuracy, F1 and confusions of labels, as scikit-learn has them, and how far a label's score can be believed."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from earmark.scoring.ids import MAX_NAMED, Ids
from earmark.scoring.pairs import Pair

FAILED = "(failed)"  # what a recording without an answer counts as: no label, so a wrong one
BINS = 15  # of equal width, as Guo et al. (2017), "On Calibration of Modern Neural Networks"


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often recordings of each label were given each label.

    Attributes:
        references: labels that the references have, sorted.
        hypotheses: those, and whatever else was answered.
        counts: a row for each of `references`, a column for each of `hypotheses`.
    """

    references: tuple[str, ...]
    hypotheses: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Answers whose score is above `low` and up to `high`."""

    low: float
    high: float
    rows: int
    mean_score: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far scores are what they say: the share of right answers.

    Attributes:
        ece: the expected calibration error, the mean of |accuracy - mean score| over the answers' bins.
        rows: answers that have a score.
        bins: those that have answers.
    """

    ece: float
    rows: int
    bins: tuple[CalibrationBin, ...]


class LabelMatches:
    """Reference and answer of each row. A label is right where it is the reference, letter for letter, but for space
    around it, as in the published evaluation.

    F1 is of the labels that the references have: of one that is only answered there is no recall.
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
        bad = []
        for pair in pairs:
            if self._labels and pair.reference.strip() not in self._labels:
                self._unknown_count += 1
                self._unknown_ids += [pair.id] if len(self._unknown_ids) < MAX_NAMED else []
            reference = self._code(pair.reference.strip())
            hypothesis = self._code(FAILED if pair.failed else pair.hypothesis.strip())
            self._references.append(reference)
            self._hypotheses.append(hypothesis)
            self._scores.append(float("nan") if pair.score is None else pair.score)
            bad.append(0.0 if reference == hypothesis else 1.0 + (pair.score or 0.0))
        return bad

    def _code(self, label: str) -> int:
        return self._codes.setdefault(label, len(self._codes))

    def figures(self, weights: np.ndarray) -> Mapping[str, float]:
        references, hypotheses = self._rows()
        if not weights.any():
            return dict.fromkeys(("accuracy", "macro_f1", "weighted_f1"), float("nan"))
        size = len(self._codes)
        given, answered = np.bincount(references, weights, size), np.bincount(hypotheses, weights, size)
        right = np.bincount(references, weights * (references == hypotheses), size)
        known = given > 0
        # As scikit-learn's f1_score(labels=those of the references); a thousand draws of that take seconds.
        f1 = 2 * right[known] / (given + answered)[known]
        return {
            "accuracy": float(right.sum() / weights.sum()),
            "macro_f1": float(f1.mean()),
            "weighted_f1": float(np.average(f1, weights=given[known])),
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
        given = [name for name in names if np.any(references == self._codes[name])]
        answered = [name for name in names if name in given or np.any(hypotheses == self._codes[name])]
        counts = tuple(
            tuple(
                int(np.sum((references == self._codes[one]) & (hypotheses == self._codes[other]))) for other in answered
            )
            for one in given
        )
        return Confusion(tuple(given), tuple(answered), counts)

    def kappa(self) -> float:
        """Cohen's kappa: the agreement beyond what chance would bring; NaN where there is but one label."""
        references, hypotheses = self._rows()
        if len(np.union1d(references, hypotheses)) < 2:
            return float("nan")
        return float(cohen_kappa_score(references, hypotheses))

    def calibration(self) -> Calibration | None:
        """None where no answer has a score."""
        references, hypotheses = self._rows()
        scores = np.frombuffer(self._scores, np.float64)
        known = ~np.isnan(scores)
        if not known.any():
            return None
        scores, right = scores[known], (references == hypotheses)[known]
        edges = np.linspace(0.0, 1.0, BINS + 1)
        number = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, BINS - 1)
        bins = []
        for one in np.unique(number):
            inside = number == one
            means = float(scores[inside].mean()), float(right[inside].mean())
            bins.append(CalibrationBin(float(edges[one]), float(edges[one + 1]), int(inside.sum()), *means))
        ece = sum(one.rows * abs(one.accuracy - one.mean_score) for one in bins) / len(scores)
        return Calibration(ece, len(scores), tuple(bins))

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        return np.frombuffer(self._references, np.int32), np.frombuffer(self._hypotheses, np.int32)
