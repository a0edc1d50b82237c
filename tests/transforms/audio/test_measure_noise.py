"""The signal-to-noise ratio of recordings whose noise is known."""

import numpy as np
import pytest

from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio import measure_noise
from earmark.transforms.audio.measure_noise import signal_to_noise_db

SPANS = [(SAMPLE_RATE_HZ, 3 * SAMPLE_RATE_HZ), (4 * SAMPLE_RATE_HZ, 5 * SAMPLE_RATE_HZ)]


def speech_in_noise(snr_db, noise_level=0.01):
    """6 s of noise, with louder noise in the spans, whose own power is `snr_db` above."""
    random = np.random.default_rng(0)
    samples = random.normal(0, noise_level, 6 * SAMPLE_RATE_HZ)
    for start, end in SPANS:
        samples[start:end] += random.normal(0, noise_level * 10 ** (snr_db / 20), end - start)
    return samples.astype(np.float32)


@pytest.mark.parametrize("snr_db", [0, 5, 20, 40])
@pytest.mark.parametrize("block", [SAMPLE_RATE_HZ // 3, 60 * SAMPLE_RATE_HZ])
def test_the_ratio_is_that_of_the_speech_alone(snr_db, block, monkeypatch):
    monkeypatch.setattr(measure_noise, "BLOCK_SAMPLES", block)
    assert signal_to_noise_db(speech_in_noise(snr_db), SPANS) == pytest.approx(snr_db, abs=0.3)


def test_speech_between_digital_silence_is_held_against_the_rounding_to_16_bits():
    samples = speech_in_noise(40)
    silent = np.ones(len(samples), dtype=bool)
    for start, end in SPANS:
        silent[start:end] = False
    samples[silent] = 0
    measured_db = signal_to_noise_db(samples, SPANS)
    assert measured_db is not None and 95 < measured_db < 102


def test_noise_that_is_as_loud_as_the_speech_has_a_floor():
    samples = np.random.default_rng(1).normal(0, 0.1, 6 * SAMPLE_RATE_HZ).astype(np.float32)
    measured_db = signal_to_noise_db(samples * (1 - 0.1 * (np.arange(len(samples)) < 3 * SAMPLE_RATE_HZ)), [SPANS[0]])
    assert measured_db == pytest.approx(-20)


@pytest.mark.parametrize("spans", [[], [(0, 6 * SAMPLE_RATE_HZ)], [(0, 100)], [(100, 6 * SAMPLE_RATE_HZ)]])
def test_too_little_speech_or_too_little_noise_has_no_ratio(spans):
    assert signal_to_noise_db(speech_in_noise(20), spans) is None
