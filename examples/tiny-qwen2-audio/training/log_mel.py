"""Whisper's log-mel spectrogram of a clip without padding, and the scaling of WhisperFeatureExtractor.

The extractor pads a clip with zeros to 30 s; the padding is quieter than the loudest frame, so it does not change the
frames before it. This module computes only the first `frames + TAIL_FRAMES` frames: two frames after the last whole
hop still overlap the end of the clip. While a spectrogram is unscaled, a gain and silence can be added to it.
"""

import functools

import numpy as np
import torch
from transformers import WhisperFeatureExtractor

HOP_SAMPLES = 160
WINDOW_SAMPLES = 400
MEL_BINS = 128
TAIL_FRAMES = 2
SILENCE = -10.0  # log10 of the extractor's smallest power, 1e-10


@functools.cache
def _filters() -> torch.Tensor:
    return torch.from_numpy(WhisperFeatureExtractor(feature_size=MEL_BINS).mel_filters).float().T.contiguous()


def frames_of(samples: int) -> int:
    """Number of frames in the extractor's attention mask for a clip of `samples` samples."""
    return -(-samples // HOP_SAMPLES)


def log_power(samples: np.ndarray) -> torch.Tensor:
    """Compute log10 of the mel power: float32 [MEL_BINS, frames + TAIL_FRAMES], at least SILENCE."""
    frames = frames_of(len(samples))
    padded = torch.zeros((frames + TAIL_FRAMES + 4) * HOP_SAMPLES)
    padded[: len(samples)] = torch.from_numpy(samples)
    window = torch.hann_window(WINDOW_SAMPLES)
    spectrum = torch.stft(padded, WINDOW_SAMPLES, HOP_SAMPLES, window=window, return_complex=True)
    power = _filters() @ spectrum[:, : frames + TAIL_FRAMES].abs() ** 2
    return power.clamp(min=10**SILENCE).log10()


def scale(log_power: torch.Tensor) -> torch.Tensor:
    """Scale as WhisperFeatureExtractor does after the logarithm, for each clip of [..., MEL_BINS, frames]."""
    floor = log_power.amax((-2, -1), keepdim=True) - 8.0
    return (torch.maximum(log_power, floor) + 4.0) / 4.0
