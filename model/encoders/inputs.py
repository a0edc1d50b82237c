"""What transformers' audio encoders hear of clips, and which clips they may hear together.

An answer must be that of the clip alone. Where an encoder masks what is behind a clip's end in all that it does, clips
of like length share a batch. Others normalise over time (the group norm of the wav2vec2 base family) or let their
convolutions look beyond the end (data2vec, Conformer): their batches hold clips of one length exactly.
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

# Encoders that mask what is behind a clip's end; each is tested.
MASKING = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "wav2vec2-bert", "parakeet_ctc"})
MOST_PADDING = 1.1  # a batch of masked clips, padded, is at most so many times their sum
# A CPU gains nothing by batches and pays for padding: with 1.1 it took 13 % longer than the clips one by one.
CPU_MOST_PADDING, CPU_BATCH_S = 1.02, 30.0
CPU_WINDOWS_S = 60.0  # nothing is padded for a neighbour's sake: five of AST's windows take 7 % less than two
FBANK_FRAME_SAMPLES = 400  # 25 ms: a frame of Kaldi's filter banks, which AST and wav2vec2-bert hear
FBANK_HOP_SAMPLES = 160  # from one to the next


@dataclass(frozen=True)
class Measures:
    """Lengths of an encoder, in samples.

    Attributes:
        least: fewer do not make a frame.
        stride: from one frame of the output to the next; 0 where there are none in time.
        window: all that is heard at a time, and what shorter clips are padded to; 0 for the whole clip.
        frames: of the output, for a clip of so many samples alone.
    """

    least: int
    stride: int = 0
    window: int = 0
    frames: Callable[[int], int] = lambda samples: 1


class EncoderInputs:
    """The features of clips (float32 mono at SAMPLE_RATE_HZ) for the encoder of one checkpoint.

    Attributes:
        measures: of the encoder.
        masked: whether clips of different length may share a batch.

    Raises:
        OSError, ValueError: config.json, or what says how audio is prepared, is missing, broken, or of another kind.
    """

    def __init__(self, folder: str):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        self._extract = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        kind = type(self._extract).__name__
        if kind not in MEASURES:
            raise ValueError(f"its audio is prepared by {kind}, which earmark does not know")
        self.measures = MEASURES[kind](config, self._extract)
        self.masked = (
            config.model_type in MASKING
            and getattr(config, "feat_extract_norm", "layer") == "layer"
            and not getattr(config, "conv_pos_batch_norm", False)
            and not getattr(config, "add_adapter", False)
        )
        # Of spectrograms, the mask also says which frame of a clip alone is half full.
        self._shows_mask = self.masked or kind != "Wav2Vec2FeatureExtractor"

    def plan(self, lengths: Sequence[int], options: JobOptions) -> list[list[int]]:
        """Batches of indices of `lengths`, in samples, each of at most --batch_s with its padding; on a CPU of less."""
        on_cpu = choose_device(options.device, torch.cuda.device_count()) == "cpu"
        cpu_batch_s = CPU_WINDOWS_S if self.measures.window else CPU_BATCH_S
        budget = int((min(options.batch_s, cpu_batch_s) if on_cpu else options.batch_s) * SAMPLE_RATE_HZ)
        if self.measures.window:
            return plan_batches([self.windows(length) * self.measures.window for length in lengths], budget)
        heard = [max(length, self.measures.least) for length in lengths]
        most_padding = (CPU_MOST_PADDING if on_cpu else MOST_PADDING) if self.masked else 1.0
        return [
            [batch[index] for index in run]
            for batch in plan_batches(heard, budget)
            for run in cut_alike([heard[index] for index in batch], most_padding)
        ]

    def windows(self, length: int) -> int:
        """How many windows a clip of `length` samples is heard in."""
        return max(1, -(-length // self.measures.window)) if self.measures.window else 1

    def features(self, clips: Sequence[np.ndarray]) -> BatchFeature:
        """What goes into the encoder, as tensors on the CPU, of the clips of a planned batch or their windows."""
        heard = [np.asarray(clip, np.float32) for clip in clips]
        heard = [np.pad(clip, (0, max(0, self.measures.least - len(clip)))) for clip in heard]
        how = {} if self.measures.window else {"padding": True, "return_attention_mask": self._shows_mask}
        return self._extract(heard, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", **how)

    def frames(self, length: int, of_batch: int) -> int:
        """How many of a batch's frames are those of a clip of `length` samples."""
        return self.measures.frames(max(length, self.measures.least)) if self.masked else of_batch


def _of_waveforms(config: Any, extract: Any) -> Measures:
    """Of wav2vec2 and its kin, whose convolutions take the samples themselves."""
    convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))

    def frames(samples: int) -> int:
        for kernel, stride in convolutions:
            samples = (samples - kernel) // stride + 1
        return samples

    least = 1
    for kernel, stride in reversed(convolutions):
        least = (least - 1) * stride + kernel
    return Measures(least, math.prod(config.conv_stride) * _adapter_stride(config), frames=frames)


def _of_filter_banks(config: Any, extract: Any) -> Measures:
    """Of wav2vec2-bert, which takes two frames of filter banks as one."""
    least = FBANK_FRAME_SAMPLES + FBANK_HOP_SAMPLES  # its variance needs two

    def frames(samples: int) -> int:
        return -(-(1 + (samples - FBANK_FRAME_SAMPLES) // FBANK_HOP_SAMPLES) // int(extract.stride))

    return Measures(least, extract.stride * FBANK_HOP_SAMPLES * _adapter_stride(config), frames=frames)


def _of_parakeet(config: Any, extract: Any) -> Measures:
    """Of Parakeet, whose convolutions halve the frames again and again."""
    hop, factor = int(extract.hop_length), int(config.encoder_config.subsampling_factor)
    return Measures(2 * hop, hop * factor, frames=lambda samples: -(-(samples // hop) // factor))


def _adapter_stride(config: Any) -> int:
    """Of the convolutions that some checkpoints have behind the encoder."""
    return int(config.adapter_stride**config.num_adapter_layers) if getattr(config, "add_adapter", False) else 1


# By the class that prepares the audio.
MEASURES: Mapping[str, Callable[[Any, Any], Measures]] = {
    "Wav2Vec2FeatureExtractor": _of_waveforms,
    "SeamlessM4TFeatureExtractor": _of_filter_banks,
    "ParakeetFeatureExtractor": _of_parakeet,
    "ASTFeatureExtractor": lambda config, extract: Measures(
        FBANK_FRAME_SAMPLES, window=extract.max_length * FBANK_HOP_SAMPLES
    ),
    "WhisperFeatureExtractor": lambda config, extract: Measures(1, window=extract.n_samples),
}
