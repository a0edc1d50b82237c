"""Scores on held-out clips, with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from corpus import NO_SPEECH

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Answers:
    """Labels of a clip: the true ones, or a checkpoint's answers."""

    text: str
    caption: str
    emotion: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A score in percent; `low` and `high` bound the middle 95 % of bootstrap resamples over clips."""

    percent: float
    low: float
    high: float
    clips: int


def figures(truths: Sequence[Answers], answers: Sequence[Answers]) -> dict[str, Figure]:
    """Score WER and emotion on speech, caption and emotion on all clips, empty transcripts on clips without speech.

    If earmark's detector finds no speech in a clip, the model is not run for `transcribe`, and the answer is "".
    """
    pairs = list(zip(truths, answers, strict=True))
    speech = [pair for pair in pairs if pair[0].text != NO_SPEECH]
    return {
        "wer": _figure([_word_errors(*pair) for pair in speech]),
        "caption": _figure([(truth.caption == answer.caption, 1) for truth, answer in pairs]),
        "emotion": _figure([(truth.emotion == answer.emotion, 1) for truth, answer in speech]),
        "emotion_all": _figure([(truth.emotion == answer.emotion, 1) for truth, answer in pairs]),
        "no_speech": _figure(
            [(answer.text in ("", NO_SPEECH), 1) for truth, answer in pairs if truth.text == NO_SPEECH]
        ),
    }


def _word_errors(truth: Answers, answer: Answers) -> tuple[int, int]:
    alignment = jiwer.process_words(truth.text.lower(), answer.text.lower())
    return alignment.substitutions + alignment.deletions + alignment.insertions, len(truth.text.split())


def _figure(counted: Sequence[tuple[int, int]]) -> Figure:
    """Score by the sum of the first counts over the sum of the second."""
    counts = np.array(counted, dtype=float)
    random = np.random.default_rng(0)
    resampled = [_percent(counts[random.integers(len(counts), size=len(counts))]) for _ in range(RESAMPLES)]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Figure(round(_percent(counts), 2), round(float(low), 2), round(float(high), 2), len(counts))


def _percent(counts: np.ndarray) -> float:
    return float(100 * counts[:, 0].sum() / counts[:, 1].sum())
