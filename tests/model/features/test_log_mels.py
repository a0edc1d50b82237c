"""Spectrograms against transformers' own extractor, which pads every clip to 30 s."""

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from earmark.model.features.log_mels import MARGIN_FRAMES, LogMels

EXTRACTOR = WhisperFeatureExtractor(feature_size=128)
RATE, HOP = EXTRACTOR.sampling_rate, EXTRACTOR.hop_length
MOST_SAMPLES, MOST_FRAMES = 30 * RATE, 3000
LENGTHS = (1, 2, 159, 160, 161, 400, 16_000, 16_001, 123_457, 479_679, 479_680, 479_840, 479_999, 480_000)


@pytest.fixture(scope="module")
def log_mels():
    return LogMels(EXTRACTOR, torch.device("cpu"))


def noise(length, loudness=0.1):
    return (loudness * np.random.default_rng(length).standard_normal(length)).astype(np.float32)


def compared_frames(log_mels, clips, min_samples=0):
    """Compare every frame with the extractor's frame of the clip alone; return the number of frames."""
    max_frames = log_mels.frames(max(min_samples, *map(len, clips)))
    spectrograms = log_mels.spectrograms(log_mels.stack(clips, min_samples), max_frames).numpy()
    frames = min(max_frames + MARGIN_FRAMES, MOST_FRAMES)
    assert spectrograms.shape == (len(clips), 128, frames) and spectrograms.dtype == np.float32
    for clip, spectrogram in zip(clips, spectrograms, strict=True):
        expected = EXTRACTOR(clip, sampling_rate=RATE, return_tensors="np").input_features[0]
        np.testing.assert_allclose(spectrogram, expected[:, :frames], rtol=0, atol=1e-5)
    return frames


@pytest.mark.parametrize("length", LENGTHS)
def test_the_spectrogram_is_the_start_of_the_extractors(log_mels, length):
    assert compared_frames(log_mels, [noise(length)]) == min(-(-length // HOP) + MARGIN_FRAMES, MOST_FRAMES)


@pytest.mark.parametrize("length", LENGTHS)
def test_frames_are_counted_as_in_the_extractors_attention_mask(log_mels, length):
    mask = EXTRACTOR(noise(length), sampling_rate=RATE, return_tensors="np", return_attention_mask=True).attention_mask
    assert log_mels.frames(length) == mask.sum()


def test_clips_of_any_length_and_loudness_share_a_batch(log_mels):
    lengths = (16_000, 1, 40_321, 160, 24_000)
    compared_frames(log_mels, [noise(length, 10.0**-number) for number, length in enumerate(lengths)])
    compared_frames(log_mels, [noise(1), noise(480_000), noise(479_999, 0.001), noise(16_000)])


@pytest.mark.parametrize("length", [1, 16_000, 480_000])
def test_silence_has_the_extractors_spectrogram(log_mels, length):
    compared_frames(log_mels, [np.zeros(length, np.float32), noise(16_000)])
    compared_frames(log_mels, [np.zeros(length, np.float32)])


@pytest.mark.parametrize(("length", "min_samples", "frames"), [(1, 1600, 12), (1599, 1600, 12), (1601, 1600, 13)])
def test_short_clips_are_padded_to_the_minimum(log_mels, length, min_samples, frames):
    assert compared_frames(log_mels, [noise(length)], min_samples) == frames


def test_audio_after_30_s_is_dropped(log_mels):
    rows = log_mels.stack([noise(MOST_SAMPLES + 1000)], 0)
    assert rows.shape == (1, MOST_SAMPLES)
    assert torch.equal(rows, log_mels.stack([noise(MOST_SAMPLES + 1000)[:MOST_SAMPLES]], 0))
    assert log_mels.frames(MOST_SAMPLES + 1000) == MOST_FRAMES


def test_samples_of_other_dtypes_and_of_mapped_files_are_stacked(log_mels, tmp_path):
    samples = noise(500)
    samples.tofile(tmp_path / "samples")
    mapped = np.memmap(tmp_path / "samples", dtype=np.float32, mode="r")
    for clip in (mapped, samples.astype(np.float64), samples[::-1].copy()[::-1]):
        rows = log_mels.stack([clip], 0)
        assert rows.dtype == torch.float32 and torch.equal(rows, log_mels.stack([samples], 0))


def test_a_row_is_no_longer_than_its_frames_need(log_mels):
    rows = log_mels.stack([noise(RATE)], 0)
    assert rows.shape[1] <= RATE + 2 * HOP + EXTRACTOR.n_fft
