"""Log-mel spectrograms as transformers' ClapFeatureExtractor makes them for audio of at most 10 s."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import ClapFeatureExtractor

MIN_POWER = 1e-10  # -100 dB (transformers/audio_utils.py, mel_floor)


class ClapMels:
    """Spectrograms of windows of at most `max_samples` (10 s), padded by the extractor's own rule.

    Computed in float64, like the extractor's: in resampled 16 kHz audio, everything above 8 kHz is the resampler's
    residue, whose decibels would be wrong in float32.
    Source: ClapFeatureExtractor._get_input_mel, without its random crops.
    """

    def __init__(self, extractor: ClapFeatureExtractor, device: torch.device):
        self.max_samples = int(extractor.nb_max_samples)
        self._padding = str(extractor.padding)
        self._n_fft, self._hop = int(extractor.fft_window_size), int(extractor.hop_length)
        filters = extractor.mel_filters if extractor.truncation == "fusion" else extractor.mel_filters_slaney
        highest = int(filters.any(axis=1).nonzero()[0].max())  # frequency that any band uses
        self._filters = torch.from_numpy(filters[: highest + 1]).to(device, torch.float64)
        self._window = torch.hann_window(self._n_fft, dtype=torch.float64, device=device)

    def stack(self, windows: Sequence[np.ndarray]) -> torch.Tensor:
        """Stack windows (float32, at the extractor's rate) as padded rows, float32 (windows, max_samples)."""
        rows = np.zeros((len(windows), self.max_samples), np.float32)
        for row, window in zip(rows, windows, strict=True):
            if self._padding == "repeat":
                row[:] = np.resize(window, len(row))
            else:
                repeats = len(row) // len(window) if self._padding == "repeatpad" else 1
                row[: repeats * len(window)] = np.tile(window, repeats)
        return torch.from_numpy(rows)

    def spectrograms(self, rows: torch.Tensor) -> torch.Tensor:
        """Compute spectrograms of rows from `stack`, in decibels, float32 (windows, frames, mels).

        Needs 30 MB of memory for each window.
        """
        half = self._n_fft // 2
        padded = torch.nn.functional.pad(rows.double()[:, None], (half, half), mode="reflect")[:, 0]
        spectrum = torch.fft.rfft(padded.unfold(1, self._n_fft, self._hop) * self._window)[..., : len(self._filters)]
        # On a CPU this takes two thirds of the time of torch.stft and abs().
        mels: torch.Tensor = (spectrum.real.square() + spectrum.imag.square()) @ self._filters
        return (10.0 * mels.clamp(min=MIN_POWER).log10()).float()
