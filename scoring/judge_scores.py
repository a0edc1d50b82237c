"""Score of a benchmark with a judge: the mean over its recordings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.scoring.intervals import intervals
from earmark.scoring.judge import Judged
from earmark.scoring.pairs import Figure

FAILED_SCORE = 1.0  # score of a recording without an answer: the lowest that the prompt names


@dataclass(frozen=True, slots=True)
class JudgeScores:
    """A judge's scores of a system.

    Attributes:
        judge: Name of the judge.
        score: Mean over the recordings with a score, 1 to 10; a failed recording counts as FAILED_SCORE.
        reference: Mean score of the references; None where nothing was judged.
        judged: Number of recordings in the mean, without failed ones.
        unjudged: Number of recordings without a verdict of two scores, which the mean leaves out, as published.
        malformed: Number of verdicts without two scores.
    """

    judge: str
    score: Figure
    reference: float | None
    judged: int
    unjudged: int
    malformed: int


def judge_scores(judge: str, judged: Sequence[Judged], failed: int, resamples: int, seed: int) -> JudgeScores:
    """The scores of judged answers, and of `failed` recordings without an answer."""
    of_answers = [case.answer for case in judged if case.answer is not None]
    of_references = [case.reference for case in judged if case.reference is not None]
    values = np.array([*of_answers, *[FAILED_SCORE] * failed])
    bounds = intervals(lambda weights: {"score": float(weights @ values / weights.sum())}, len(values), resamples, seed)
    low, high = bounds.get("score", (None, None))
    return JudgeScores(
        judge,
        Figure("score", _mean(values.tolist()), low, high, _mean(of_answers)),
        _mean(of_references),
        len(of_answers),
        len(judged) - len(of_answers),
        sum(case.malformed for case in judged),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
