"""How far speech stands out from what is heard between it."""

import math
from collections.abc import Sequence

import numpy as np

from earmark.schemas.records import SAMPLE_RATE_HZ

MIN_SAMPLES = SAMPLE_RATE_HZ // 10  # of speech and of the rest; less says nothing about the recording
BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ  # squared at a time: a recording may be hours long
QUANTIZATION_POWER = 2.0**-30 / 12  # of the rounding to 16 bits: no pause counts as more silent
MIN_SHARE = 0.01  # of speech in the power of the noise, where both are as loud: -20 dB


def signal_to_noise_db(samples: np.ndarray, spans: Sequence[tuple[int, int]]) -> float | None:
    """The power of speech over that of noise, in dB, from -20 to 101; None where there is too little of either.

    Noise is what lies outside the speech; what lies within it holds both, so its power is taken off there.

    Args:
        samples: float32, of the clip.
        spans: stretches of speech, `[start, end)` in samples, in order, without overlap.
    """
    speech = sum(end - start for start, end in spans)
    rest = len(samples) - speech
    if min(speech, rest) < MIN_SAMPLES:
        return None
    heard = sum(_energy(samples[start:end]) for start, end in spans)
    noise_power = max((_energy(samples) - heard) / rest, QUANTIZATION_POWER)
    speech_power = max(heard / speech - noise_power, MIN_SHARE * noise_power)
    return 10 * math.log10(speech_power / noise_power)


def _energy(samples: np.ndarray) -> float:
    blocks = (samples[start : start + BLOCK_SAMPLES] for start in range(0, len(samples), BLOCK_SAMPLES))
    return sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
