"""Clips of gliding tones in several segments, for engines that annotate sounds, and their vectors."""

import itertools

import numpy as np

from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, AudioFacts, Clip, Recording, Segment

FACTS = AudioFacts(1.0, SAMPLE_RATE_HZ, 1, "wav", -20.0, -3.0, 0.0)


def make_glide(seconds: float, seed: int) -> np.ndarray:
    """A gliding tone with noise and a pause in the middle, so that no two stretches are alike."""
    random = np.random.default_rng(seed)
    count = max(1, round(seconds * SAMPLE_RATE_HZ))
    times = np.arange(count) / SAMPLE_RATE_HZ
    tone = np.sin(2 * np.pi * (100 + 300 * random.random() + 50 * times) * times)
    samples = random.uniform(0.05, 0.5) * tone + random.uniform(0.0, 0.1) * random.standard_normal(count)
    samples[count // 2 : count // 2 + count // 8] = 0
    return samples.astype(np.float32)


def cut_clip(samples: np.ndarray, *bounds: int) -> Clip:
    """A clip with segment bounds at `bounds`, or of one segment; its first half is speech."""
    cuts = [0, *bounds, len(samples)]
    segments = tuple(
        Segment(start, end, max(0, min(end, len(samples) // 2) - start)) for start, end in itertools.pairwise(cuts)
    )
    return Clip(Recording("r", "r.wav"), samples, FACTS, segments)


def vector_of(answers: Answers | RowError) -> np.ndarray:
    """The answer to `embed`."""
    assert isinstance(answers, dict)
    answer = answers["embed"]
    assert isinstance(answer, VectorAnswer)
    return np.array(answer.vector)
