"""Pairs of a reference and a hypothesis, and the interface of the measures that score them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and a system's answer.

    Attributes:
        hypothesis: The answer; "" where the recording failed.
        language: Code such as en or zh-CN; "" for an unknown language.
        failed: Whether the system has no answer, which counts as an empty one.
        score: A label's share of the likelihood; None where it is not known.
    """

    id: str
    reference: str
    hypothesis: str
    language: str = ""
    failed: bool = False
    score: float | None = None


class Measure(Protocol):
    """A metric's counts of each row, so that groups of rows and resamples are scored without their texts.

    Attributes:
        accepts_blank_references: Whether a reference of spaces alone is a reference.
    """

    accepts_blank_references: bool

    def add(self, pairs: Sequence[Pair]) -> list[float]:
        """Count rows, in order of their ids, and return how bad each is, 0 for a perfect one."""

    def figures(self, weights: np.ndarray) -> Mapping[str, float]:
        """The metric's figures by name when row i counts `weights[i]` times; NaN where there is nothing to count.

        Args:
            weights: float64 of shape (rows,).
        """

    def agreement(self) -> Mapping[str, float]:
        """Figures of all rows, where the references are another system's answers."""

    def details(self) -> dict[str, Any]:
        """Fields of TaskScores that only this measure has."""

    def words(self, pair: Pair) -> tuple[list[str], list[str]] | None:
        """Reference and hypothesis as they are compared word by word; None where they are not."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval, which is None where it was not requested or is not defined.

    Attributes:
        name: Key of figures.NAMES. wer, cer, accuracy, macro_f1 and weighted_f1 are shares; bleu and chrf go from 0 to
            100.
        value: The figure, with failed recordings as empty answers; None where there is nothing to count.
        without_failures: The figure over the recordings that have an answer.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    without_failures: float | None
