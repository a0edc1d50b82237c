"""The score of a benchmark that a judge scores: the mean over its recordings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.scoring.intervals import intervals
from earmark.scoring.judge import Judged
from earmark.scoring.pairs import Figure

FAILED_SCORE = 1.0  # of a recording without an answer: the lowest that the judge is asked for


@dataclass(frozen=True, slots=True)
class JudgeScores:
    """What a judge gave a system.

    Attributes:
        judge: who judged, as it was named.
        score: the mean over the recordings that have a score, 1 to 10; one that failed counts as FAILED_SCORE.
        reference: the mean score that the references got beside it; None where nothing was judged.
        judged: recordings that the mean is over, but for those that failed.
        unjudged: recordings of which neither verdict held two scores; they are left out of the mean, as published.
        malformed: verdicts without two scores.
    """

    judge: str
    score: Figure
    reference: float | None
    judged: int
    unjudged: int
    malformed: int


def judge_scores(judge: str, judged: Sequence[Judged], failed: int, resamples: int, seed: int) -> JudgeScores:
    """The scores of judged answers and of `failed` recordings that have none."""
    of_answers = [one.answer for one in judged if one.answer is not None]
    of_references = [one.reference for one in judged if one.reference is not None]
    values = np.array([*of_answers, *[FAILED_SCORE] * failed])
    found = intervals(lambda weights: {"score": float(weights @ values / weights.sum())}, len(values), resamples, seed)
    low, high = found.get("score", (None, None))
    return JudgeScores(
        judge,
        Figure("score", _mean(values.tolist()), low, high, _mean(of_answers)),
        _mean(of_references),
        len(of_answers),
        len(judged) - len(of_answers),
        sum(one.malformed for one in judged),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
