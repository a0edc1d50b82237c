"""A Qwen2-Audio checkpoint in memory: one replica per device, in float32 on a CPU and in bfloat16 on a GPU."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.prefix_decoder import LabelLogprobs, SharedPrefixDecoder
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.features.log_mels import LogMels
from earmark.model.qwen2_audio.encoder import SAMPLES_PER_TOKEN, encode_audio
from earmark.model.qwen2_audio.files import is_instruct
from earmark.model.qwen2_audio.prompts import Prompts
from earmark.model.runtime.replicas import load_replicas
from earmark.model.segments.batching import cut_alike
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import MAX_SEGMENT_S, SAMPLE_RATE_HZ

MAX_PADDING = 1.05  # ratio of padded to real audio in a group that is encoded together
MIN_FRAMES = 3  # frames of a spectrogram; fewer make no audio token, so shorter segments are padded with silence
MAX_AUDIO_TOKENS = MAX_SEGMENT_S * SAMPLE_RATE_HZ // SAMPLES_PER_TOKEN


@dataclass(frozen=True, slots=True, eq=False)
class AudioGroup:
    """Segments of similar length that are encoded together.

    Attributes:
        rows: Stacked waveforms, float32 (segments, samples).
        frames: Number of spectrogram frames of each segment.
        padded_s: Seconds of audio with padding.
    """

    rows: torch.Tensor
    frames: tuple[int, ...]
    padded_s: float


class Qwen2AudioModel:
    """One replica of the model on one device. Not thread-safe, except `stack`."""

    def __init__(self, model: Qwen2AudioForConditionalGeneration, extractor: WhisperFeatureExtractor):
        self._model = model
        self._device = model.device
        self._mels = LogMels(extractor, model.device)
        self._hop = int(extractor.hop_length)
        self._decoder = SharedPrefixDecoder(model.model.language_model, model.lm_head, _eos_ids(model))

    def stack(self, segments: Sequence[np.ndarray]) -> list[AudioGroup]:
        """Stack segments (float32 at 16 kHz, longest first) in groups with little padding."""
        groups = []
        for run in cut_alike([len(segment) for segment in segments], MAX_PADDING):
            members = [segments[index] for index in run]
            rows = self._mels.stack(members, MIN_FRAMES * self._hop)
            frames = tuple(max(self._mels.frames(len(member)), MIN_FRAMES) for member in members)
            padded_s = len(members) * max(frames) * self._hop / SAMPLE_RATE_HZ
            # Pinned memory is copied to the device while the device computes.
            groups.append(AudioGroup(rows.pin_memory() if self._device.type == "cuda" else rows, frames, padded_s))
        return groups

    def answer(
        self, prefix_ids: Sequence[int], groups: Sequence[AudioGroup], rows: Sequence[Sequence[PromptBranch]]
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        """Decode or score the prompt branches of each segment of the groups, in order."""
        with torch.inference_mode(), self._current_device():
            try:
                return self._answer(prefix_ids, groups, rows)
            except torch.OutOfMemoryError:
                self._decoder.release_memory()
                raise

    def _answer(
        self, prefix_ids: Sequence[int], groups: Sequence[AudioGroup], rows: Sequence[Sequence[PromptBranch]]
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        prefilled, start = [], 0
        for group in groups:
            of_group = rows[start : start + len(group.frames)]
            start += len(group.frames)
            frames = torch.tensor(group.frames, device=self._device)
            mels = self._mels.spectrograms(group.rows.to(self._device, non_blocking=True), max(group.frames))
            audio, tokens = encode_audio(self._model, mels, frames)
            prefilled.append(self._decoder.prefill(prefix_ids, audio, tokens.tolist(), of_group))
        return self._decoder.decode(prefilled, rows)

    def _current_device(self) -> contextlib.AbstractContextManager[object]:
        """Make the model's device the current one, for streams and graphs."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else contextlib.nullcontext()


def _eos_ids(model: Qwen2AudioForConditionalGeneration) -> list[int]:
    eos_ids = model.generation_config.eos_token_id
    if eos_ids is None:
        raise ValueError("neither its generation_config.json nor its config.json has an eos_token_id")
    return eos_ids if isinstance(eos_ids, list) else [eos_ids]


def load_models(folder: str, options: JobOptions) -> list[Qwen2AudioModel]:
    """Load a replica of the checkpoint on each visible CUDA device, or one on the CPU.

    Raises:
        JobError: The device is not available, or the weights cannot be loaded.
    """
    return load_replicas("Qwen2-Audio", folder, options, partial(_load, folder))


def _load(folder: str, device: str, dtype: torch.dtype) -> Qwen2AudioModel:
    model = load_pretrained(Qwen2AudioForConditionalGeneration, folder, dtype, attention="sdpa")
    extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    return Qwen2AudioModel(model.to(device), extractor)


def load_prompts(folder: str) -> Prompts:
    """Load the checkpoint's templates and tokenizer.

    Raises:
        JobError: They cannot be read, or the template cannot be used.
    """
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        config = Qwen2AudioConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise JobError(f"the processor in {folder} cannot be loaded: {error}") from error
    context_tokens = int(config.text_config.max_position_embeddings) - MAX_AUDIO_TOKENS
    return Prompts(processor, is_instruct(Path(folder)), context_tokens)
