"""CLAP's network: audio and texts as unit vectors in one space."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.clap.mels import ClapMels
from earmark.model.runtime.replicas import load_replicas
from earmark.schemas.job import JobOptions

# Windows in one forward pass, by type of device. On a CPU the activations of more windows do not fit into the cache: 16
# took 1.4 times as long as 4 (the network of laion/clap-htsat-unfused, one thread).
PASS_WINDOWS = {"cpu": 4, "cuda": 32}


class ClapNetwork:
    """One replica, on one device, for one thread at a time.

    Attributes:
        rate_hz: Sample rate of the audio.
        max_samples: Number of samples of the longest window.
        logit_scale: Factor from similarities to logits.
    """

    def __init__(self, model: ClapModel, extractor: ClapFeatureExtractor, tokenizer: Any):
        self._model, self._tokenizer = model, tokenizer
        self._fuses = bool(model.config.audio_config.enable_fusion)
        self._mels = ClapMels(extractor, model.device)
        self.rate_hz, self.max_samples = int(extractor.sampling_rate), self._mels.max_samples
        self.logit_scale = float(model.logit_scale_a.detach().exp())

    def embed_audio(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vector of each window, as get_audio_features gives it for the window alone.

        Args:
            windows: Waveforms, float32 at `rate_hz`, at most `max_samples` each.

        Returns:
            Vectors, float32 (windows, dimensions).
        """
        rows = self._mels.stack(windows)
        with torch.inference_mode():
            parts = rows.split(PASS_WINDOWS[self._model.device.type])
            return _to_numpy(torch.cat([self._features(part.to(self._model.device)) for part in parts]))

    def _features(self, rows: torch.Tensor) -> torch.Tensor:
        mels = self._mels.spectrograms(rows).to(self._model.dtype)[:, None]
        if self._fuses:
            # Fused models take the whole spectrogram and three crops, which here are the whole too. transformers marks
            # a random clip of a batch as longer if none is, so a clip alone is always marked.
            mels = mels.expand(-1, 4, -1, -1)
        longer = torch.full((len(rows), 1), self._fuses, device=mels.device)
        features: torch.Tensor = self._model.get_audio_features(input_features=mels, is_longer=longer).pooler_output
        return features

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts, as get_text_features gives them, float32 (texts, dimensions)."""
        with torch.inference_mode():
            tokens = self._tokenizer(list(texts), padding=True, return_tensors="pt").to(self._model.device)
            features = self._model.get_text_features(tokens["input_ids"], tokens["attention_mask"])
            return _to_numpy(features.pooler_output)


def _to_numpy(features: torch.Tensor) -> np.ndarray:
    return np.asarray(features.float().cpu().numpy())


def load_extractor(folder: str) -> ClapFeatureExtractor:
    return ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)


def load_tokenizer(folder: str) -> Any:
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_clap(folder: str, options: JobOptions) -> list[ClapNetwork]:
    """Load a replica on each visible CUDA device, or one on the CPU.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """
    return load_replicas("CLAP", folder, options, partial(_load, folder))


def _load(folder: str, device: str, dtype: torch.dtype) -> ClapNetwork:
    model = load_pretrained(ClapModel, folder, dtype)
    return ClapNetwork(model.to(device), load_extractor(folder), load_tokenizer(folder))
