"""Inputs of transformers' audio encoders: features of clips, and which clips may share a batch.

A clip's answer must be that of the clip alone. If an encoder masks the padding in all its layers, clips of similar
length share a batch. Others normalise over time (the group norm of the wav2vec2 base family), or their convolutions
look beyond the end of a clip (data2vec, Conformer): their batches hold clips of exactly one length.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, BatchFeature

from earmark.model.runtime.devices import choose_device
from earmark.model.segments.batching import cut_alike, plan_batches
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ

# Encoders that mask the padding in all layers; each is tested.
MASKING = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "wav2vec2-bert", "parakeet_ctc"})
MAX_PADDING = 1.1  # ratio of padded to real audio in a batch of masked clips
# A CPU gains nothing from batches and loses from padding: with 1.1 it took 13 % longer than clips one by one.
CPU_MAX_PADDING, CPU_BATCH_S = 1.02, 30.0
CPU_WINDOWS_S = 60.0  # windows need no padding to a common length: five of AST's take 7 % less time than two
FBANK_FRAME_SAMPLES = 400  # 25 ms: a frame of Kaldi's filter banks, the input of AST and wav2vec2-bert
FBANK_HOP_SAMPLES = 160  # 10 ms, from one frame to the next


@dataclass(frozen=True)
class Framing:
    """Parameters that turn samples into the frames of an encoder. Lengths are in samples.

    Attributes:
        min_samples: Number of samples that make one frame; shorter clips are padded.
        stride: Distance between frames of the output; 0 if the output has no time axis.
        window: Fixed length of the input, to which shorter clips are padded; 0 if the input has any length.
        frames: Function from a clip's number of samples to its number of output frames.
    """

    min_samples: int
    stride: int = 0
    window: int = 0
    frames: Callable[[int], int] = lambda samples: 1


class EncoderInputs:
    """Prepares clips (float32 mono at SAMPLE_RATE_HZ) for the encoder of one checkpoint.

    Attributes:
        framing: How the encoder turns samples into frames.
        masked: Whether clips of different lengths may share a batch.

    Raises:
        OSError, ValueError: config.json or the feature extractor's file is missing, broken, or of another kind.
    """

    def __init__(self, folder: str):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        self._extract = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        kind = type(self._extract).__name__
        if kind not in FRAMINGS:
            raise ValueError(f"its feature extractor is {kind}, which earmark does not support")
        self.framing = FRAMINGS[kind](config, self._extract)
        self.masked = (
            config.model_type in MASKING
            and getattr(config, "feat_extract_norm", "layer") == "layer"
            and not getattr(config, "conv_pos_batch_norm", False)
            and not getattr(config, "add_adapter", False)
        )
        # With spectrograms, the mask also marks a last frame that is half full, even in a clip alone.
        self._returns_mask = self.masked or kind != "Wav2Vec2FeatureExtractor"

    def plan_batches(self, lengths: Sequence[int], options: JobOptions) -> list[list[int]]:
        """Plan batches of at most --batch_s of padded audio, and less on a CPU.

        Args:
            lengths: Length of each clip, in samples.
            options: Options of the job.

        Returns:
            Indices of `lengths`, by batch.
        """
        on_cpu = choose_device(options.device, torch.cuda.device_count()) == "cpu"
        cpu_batch_s = CPU_WINDOWS_S if self.framing.window else CPU_BATCH_S
        budget = int((min(options.batch_s, cpu_batch_s) if on_cpu else options.batch_s) * SAMPLE_RATE_HZ)
        if self.framing.window:
            return plan_batches([self.windows(length) * self.framing.window for length in lengths], budget)
        padded = [max(length, self.framing.min_samples) for length in lengths]
        max_padding = (CPU_MAX_PADDING if on_cpu else MAX_PADDING) if self.masked else 1.0
        return [
            [batch[index] for index in run]
            for batch in plan_batches(padded, budget)
            for run in cut_alike([padded[index] for index in batch], max_padding)
        ]

    def windows(self, length: int) -> int:
        """Number of windows that a clip of `length` samples is cut into."""
        return max(1, -(-length // self.framing.window)) if self.framing.window else 1

    def features(self, clips: Sequence[np.ndarray]) -> BatchFeature:
        """Compute the encoder's inputs, as tensors on the CPU, for a planned batch of clips or their windows."""
        padded = [np.asarray(clip, np.float32) for clip in clips]
        padded = [np.pad(clip, (0, max(0, self.framing.min_samples - len(clip)))) for clip in padded]
        extractor_args = {} if self.framing.window else {"padding": True, "return_attention_mask": self._returns_mask}
        return self._extract(padded, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", **extractor_args)

    def frames(self, length: int, batch_frames: int) -> int:
        """Number of a clip's frames in a batch with padding.

        Args:
            length: Length of the clip, in samples.
            batch_frames: Number of frames of the batch.
        """
        return self.framing.frames(max(length, self.framing.min_samples)) if self.masked else batch_frames


def _waveform_framing(config: Any, extract: Any) -> Framing:
    """Framing of wav2vec2 and its relatives, whose convolutions take raw samples."""
    convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))

    def frames(samples: int) -> int:
        for kernel, stride in convolutions:
            samples = (samples - kernel) // stride + 1
        return samples

    min_samples = 1
    for kernel, stride in reversed(convolutions):
        min_samples = (min_samples - 1) * stride + kernel
    return Framing(min_samples, math.prod(config.conv_stride) * _adapter_stride(config), frames=frames)


def _filter_bank_framing(config: Any, extract: Any) -> Framing:
    """Framing of wav2vec2-bert, which stacks two frames of filter banks."""
    min_samples = FBANK_FRAME_SAMPLES + FBANK_HOP_SAMPLES  # two frames, because it normalises by their variance

    def frames(samples: int) -> int:
        return -(-(1 + (samples - FBANK_FRAME_SAMPLES) // FBANK_HOP_SAMPLES) // int(extract.stride))

    return Framing(min_samples, extract.stride * FBANK_HOP_SAMPLES * _adapter_stride(config), frames=frames)


def _parakeet_framing(config: Any, extract: Any) -> Framing:
    """Framing of Parakeet, whose convolutions subsample the spectrogram."""
    hop, factor = int(extract.hop_length), int(config.encoder_config.subsampling_factor)
    return Framing(2 * hop, hop * factor, frames=lambda samples: -(-(samples // hop) // factor))


def _adapter_stride(config: Any) -> int:
    """Stride of the convolutions that some checkpoints have after the encoder."""
    return int(config.adapter_stride**config.num_adapter_layers) if getattr(config, "add_adapter", False) else 1


# By the class of the feature extractor.
FRAMINGS: Mapping[str, Callable[[Any, Any], Framing]] = {
    "Wav2Vec2FeatureExtractor": _waveform_framing,
    "SeamlessM4TFeatureExtractor": _filter_bank_framing,
    "ParakeetFeatureExtractor": _parakeet_framing,
    "ASTFeatureExtractor": lambda config, extract: Framing(
        FBANK_FRAME_SAMPLES, window=extract.max_length * FBANK_HOP_SAMPLES
    ),
    "WhisperFeatureExtractor": lambda config, extract: Framing(1, window=extract.n_samples),
}
