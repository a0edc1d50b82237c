"""Measures the signal-to-noise ratio: the power of speech over that of the pauses."""

import math
from collections.abc import Sequence

import numpy as np

from earmark.schemas.records import SAMPLE_RATE_HZ

MIN_SAMPLES = SAMPLE_RATE_HZ // 10  # of speech and of pauses each; less is too little to measure
BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ  # squared at a time: a recording may be hours long
QUANTIZATION_POWER = 2.0**-30 / 12  # of the rounding to 16 bits; lower bound for the noise
MIN_SHARE = 0.01  # lower bound for speech relative to noise: -20 dB


def signal_to_noise_db(samples: np.ndarray, spans: Sequence[tuple[int, int]]) -> float | None:
    """Power of speech over that of noise in dB, from -20 to 101; None if there is too little of either.

    The pauses are noise. Spans of speech hold both, so the power of the noise is subtracted there.

    Args:
        samples: float32, of the clip.
        spans: Spans of speech, `[start, end)` in samples, in order, without overlap.
    """
    speech = sum(end - start for start, end in spans)
    pauses = len(samples) - speech
    if min(speech, pauses) < MIN_SAMPLES:
        return None
    span_energy = sum(_energy(samples[start:end]) for start, end in spans)
    noise_power = max((_energy(samples) - span_energy) / pauses, QUANTIZATION_POWER)
    speech_power = max(span_energy / speech - noise_power, MIN_SHARE * noise_power)
    return 10 * math.log10(speech_power / noise_power)


def _energy(samples: np.ndarray) -> float:
    blocks = (samples[start : start + BLOCK_SAMPLES] for start in range(0, len(samples), BLOCK_SAMPLES))
    return sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
