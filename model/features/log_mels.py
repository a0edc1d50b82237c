"""Log-mel spectrograms as transformers' WhisperFeatureExtractor makes them, trimmed, on the model's device."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import WhisperFeatureExtractor

# The encoder's convolutions look one frame ahead each, so these frames after a clip's end must be the true ones.
MARGIN_FRAMES = 2


class LogMels:
    """Spectrograms of batches of clips of different lengths.

    The frames equal the extractor's for the clip padded with silence to `n_samples` (30 s); fewer are computed.
    Source: WhisperFeatureExtractor._torch_extract_fbank_features.
    """

    def __init__(self, extractor: WhisperFeatureExtractor, device: torch.device):
        self._n_fft, self._hop = int(extractor.n_fft), int(extractor.hop_length)
        self._max_samples = int(extractor.n_samples)
        self._window = torch.hann_window(self._n_fft, device=device)
        self._filters = torch.from_numpy(extractor.mel_filters).to(device, torch.float32).T.contiguous()

    def frames(self, length: int) -> int:
        """Number of frames of a clip of `length` samples, as the extractor's attention mask counts them."""
        return min(-(-length // self._hop), self._max_samples // self._hop)

    def stack(self, clips: Sequence[np.ndarray], min_samples: int) -> torch.Tensor:
        """Stack clips as rows for `spectrograms`, with enough silence behind each.

        Args:
            clips: Waveforms, float32 at the extractor's rate; samples after 30 s are dropped.
            min_samples: Length up to which shorter clips are padded.

        Returns:
            Rows on the CPU, float32 (clips, samples).
        """
        max_frames = self.frames(max(min_samples, *map(len, clips)))
        samples = min((max_frames + MARGIN_FRAMES) * self._hop + self._n_fft, self._max_samples)
        rows = np.zeros((len(clips), samples), np.float32)
        for row, clip in zip(rows, clips, strict=True):
            trimmed = clip[: self._max_samples]
            row[: len(trimmed)] = trimmed
        return torch.from_numpy(rows)

    def spectrograms(self, rows: torch.Tensor, max_frames: int) -> torch.Tensor:
        """Compute the spectrograms of rows from `stack`.

        Args:
            rows: Waveforms, float32 (clips, samples).
            max_frames: Number of frames of the longest clip.

        Returns:
            Log-mel spectrograms with MARGIN_FRAMES more frames, 30 s at most, float32 (clips, mels, frames).
        """
        frames = min(max_frames + MARGIN_FRAMES, self._max_samples // self._hop)
        spectrum = torch.stft(rows, self._n_fft, self._hop, window=self._window, return_complex=True)
        power = (spectrum[..., :frames].abs() ** 2).contiguous()
        log_mels = (self._filters @ power).clamp(min=1e-10).log10()
        loudest = log_mels.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(log_mels, loudest - 8.0) + 4.0) / 4.0
