"""Log-mel spectrograms as transformers' WhisperFeatureExtractor makes them, trimmed, on the model's device."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import WhisperFeatureExtractor

# Convolutions of the encoder look one frame ahead each, so they see this many true frames behind a clip's end.
MARGIN_FRAMES = 2


class LogMels:
    """Spectrograms of batches whose clips differ in length.

    A frame is what the extractor makes of the clip padded with silence to `n_samples` (30 s): only fewer of them are
    computed. Source: WhisperFeatureExtractor._torch_extract_fbank_features.
    """

    def __init__(self, extractor: WhisperFeatureExtractor, device: torch.device):
        self._n_fft, self._hop = int(extractor.n_fft), int(extractor.hop_length)
        self._most_samples = int(extractor.n_samples)
        self._window = torch.hann_window(self._n_fft, device=device)
        self._filters = torch.from_numpy(extractor.mel_filters).to(device, torch.float32).T.contiguous()

    def frames(self, length: int) -> int:
        """Frames of a clip of `length` samples, as the extractor's attention mask counts them."""
        return min(-(-length // self._hop), self._most_samples // self._hop)

    def stack(self, clips: Sequence[np.ndarray], at_least: int) -> torch.Tensor:
        """Clips (float32, at the extractor's rate) as rows with silence behind them, long enough for `spectrograms`.

        Each is taken to be `at_least` samples long. Returns float32 (clips, samples).
        """
        longest = self.frames(max(at_least, *map(len, clips)))
        samples = min((longest + MARGIN_FRAMES) * self._hop + self._n_fft, self._most_samples)
        rows = np.zeros((len(clips), samples), np.float32)
        for row, clip in zip(rows, clips, strict=True):
            heard = clip[: self._most_samples]
            row[: len(heard)] = heard
        return torch.from_numpy(rows)

    def spectrograms(self, rows: torch.Tensor, longest: int) -> torch.Tensor:
        """float32 (clips, mels, frames) of what `stack` made; `longest` clip's frames and two more, at most 30 s."""
        frames = min(longest + MARGIN_FRAMES, self._most_samples // self._hop)
        spectrum = torch.stft(rows, self._n_fft, self._hop, window=self._window, return_complex=True)
        power = (spectrum[..., :frames].abs() ** 2).contiguous()
        log_mels = (self._filters @ power).clamp(min=1e-10).log10()
        loudest = log_mels.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(log_mels, loudest - 8.0) + 4.0) / 4.0
