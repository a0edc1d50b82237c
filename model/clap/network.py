"""CLAP on one device: audio and texts as unit vectors of one space."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from earmark.model.checkpoints.weights import load_whole
from earmark.model.clap.mels import ClapMels
from earmark.model.runtime.replicas import load_replicas
from earmark.schemas.job import JobOptions

# Windows that go through the network together, by the device's type. On a CPU what a layer makes of more falls out of
# the cache: 16 at once took 1.4 times as long as 4 (the network of laion/clap-htsat-unfused, one thread).
AT_ONCE = {"cpu": 4, "cuda": 32}


class ClapCopy:
    """A copy of the network with what prepares its input; for one thread at a time."""

    def __init__(self, model: ClapModel, extractor: ClapFeatureExtractor, tokenizer: Any):
        self._model, self._tokenizer = model, tokenizer
        self._fuses = bool(model.config.audio_config.enable_fusion)
        self._mels = ClapMels(extractor, model.device)
        self.rate_hz, self.most_samples = int(extractor.sampling_rate), self._mels.most_samples
        self.logit_scale = float(model.logit_scale_a.detach().exp())

    def listen(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """What get_audio_features gives for each window alone: float32 (windows, dimensions).

        Args:
            windows: float32 at `rate_hz`, at most `most_samples` each.
        """
        rows = self._mels.stack(windows)
        with torch.inference_mode():
            some = [
                self._features(rows.to(self._model.device)) for rows in rows.split(AT_ONCE[self._model.device.type])
            ]
            return _numbers(torch.cat(some))

    def _features(self, rows: torch.Tensor) -> torch.Tensor:
        heard = self._mels.spectrograms(rows).to(self._model.dtype)[:, None]
        if self._fuses:
            # Whole, and thrice in pieces, which are the whole here. transformers marks one clip of a batch as longer,
            # at random, where none is: a clip that is alone always.
            heard = heard.expand(-1, 4, -1, -1)
        longer = torch.full((len(rows), 1), self._fuses, device=heard.device)
        features: torch.Tensor = self._model.get_audio_features(input_features=heard, is_longer=longer).pooler_output
        return features

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """What get_text_features gives for the texts: float32 (texts, dimensions)."""
        with torch.inference_mode():
            tokens = self._tokenizer(list(texts), padding=True, return_tensors="pt").to(self._model.device)
            features = self._model.get_text_features(tokens["input_ids"], tokens["attention_mask"])
            return _numbers(features.pooler_output)


def _numbers(features: torch.Tensor) -> np.ndarray:
    return np.asarray(features.float().cpu().numpy())


def load_extractor(folder: str) -> ClapFeatureExtractor:
    return ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)


def load_tokenizer(folder: str) -> Any:
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_clap(folder: str, options: JobOptions) -> list[ClapCopy]:
    """A copy of the checkpoint on each visible CUDA device, or one on the CPU.

    Raises:
        JobError: there is no such device, or the weights cannot be loaded.
    """
    return load_replicas("CLAP", folder, options, partial(_load, folder))


def _load(folder: str, place: str, dtype: torch.dtype) -> ClapCopy:
    model = load_whole(ClapModel, folder, dtype)
    return ClapCopy(model.to(place), load_extractor(folder), load_tokenizer(folder))
