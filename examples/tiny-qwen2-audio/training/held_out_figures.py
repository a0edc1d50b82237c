"""Figures over held-out clips, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from corpus import NO_SPEECH

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Answers:
    """What is true of a clip, or what a checkpoint says of it."""

    text: str
    caption: str
    emotion: str


@dataclass(frozen=True, slots=True)
class Figure:
    """In percent; `low` and `high` bound the middle 95 % of bootstrap resamples over clips."""

    percent: float
    low: float
    high: float
    clips: int


def figures(truths: Sequence[Answers], answers: Sequence[Answers]) -> dict[str, Figure]:
    """WER and emotion of speech, captions and emotion of all clips, and how often no words are heard in no speech.

    earmark's own transcribe does not ask about a clip in which its detector hears no speech: its answer is then "".
    """
    pairs = list(zip(truths, answers, strict=True))
    speech = [pair for pair in pairs if pair[0].text != NO_SPEECH]
    return {
        "wer": _figure([_word_errors(*pair) for pair in speech]),
        "caption": _figure([(truth.caption == said.caption, 1) for truth, said in pairs]),
        "emotion": _figure([(truth.emotion == said.emotion, 1) for truth, said in speech]),
        "emotion_all": _figure([(truth.emotion == said.emotion, 1) for truth, said in pairs]),
        "no_speech": _figure([(said.text in ("", NO_SPEECH), 1) for truth, said in pairs if truth.text == NO_SPEECH]),
    }


def _word_errors(truth: Answers, said: Answers) -> tuple[int, int]:
    found = jiwer.process_words(truth.text.lower(), said.text.lower())
    return found.substitutions + found.deletions + found.insertions, len(truth.text.split())


def _figure(counted: Sequence[tuple[int, int]]) -> Figure:
    """The sum of the first over the sum of the second."""
    counts = np.array(counted, dtype=float)
    random = np.random.default_rng(0)
    resampled = [_percent(counts[random.integers(len(counts), size=len(counts))]) for _ in range(RESAMPLES)]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Figure(round(_percent(counts), 2), round(float(low), 2), round(float(high), 2), len(counts))


def _percent(counts: np.ndarray) -> float:
    return float(100 * counts[:, 0].sum() / counts[:, 1].sum())
