"""A Qwen2-Audio checkpoint in memory: one copy a device, in 32 bits on a CPU and in bfloat16 on a GPU."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from earmark.model.checkpoints.weights import load_whole
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.prefix_decoder import LabelLogprobs, SharedPrefixDecoder
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.features.log_mels import LogMels
from earmark.model.qwen2_audio.encoder import SAMPLES_PER_TOKEN, encode_audio
from earmark.model.qwen2_audio.files import has_chat_template
from earmark.model.qwen2_audio.prompts import Prompts
from earmark.model.runtime.replicas import load_replicas
from earmark.model.segments.batching import cut_alike
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import MAX_SEGMENT_S, SAMPLE_RATE_HZ

MAX_PADDING = 1.05  # padded over real audio of what the encoder takes in at once
MIN_FRAMES = 3  # of a spectrogram; fewer make no audio token, so what is shorter gets silence behind it
LONGEST_AUDIO_TOKENS = MAX_SEGMENT_S * SAMPLE_RATE_HZ // SAMPLES_PER_TOKEN


@dataclass(frozen=True, slots=True, eq=False)
class AudioGroup:
    """Segments of like length, stacked: float32 (segments, samples), and the spectrogram frames of each."""

    rows: torch.Tensor
    frames: tuple[int, ...]
    padded_s: float


class Qwen2AudioModel:
    """One copy of the weights on one device. Not for several threads at a time, but for `stack`."""

    def __init__(self, model: Qwen2AudioForConditionalGeneration, extractor: WhisperFeatureExtractor):
        self._model = model
        self._device = model.device
        self._mels = LogMels(extractor, model.device)
        self._hop = int(extractor.hop_length)
        self._decoder = SharedPrefixDecoder(model.model.language_model, model.lm_head, _stops(model))

    def stack(self, segments: Sequence[np.ndarray]) -> list[AudioGroup]:
        """Segments (float32 at 16 kHz, longest first) in groups that waste little on padding."""
        groups = []
        for run in cut_alike([len(segment) for segment in segments], MAX_PADDING):
            members = [segments[index] for index in run]
            rows = self._mels.stack(members, MIN_FRAMES * self._hop)
            frames = tuple(max(self._mels.frames(len(member)), MIN_FRAMES) for member in members)
            padded_s = len(members) * max(frames) * self._hop / SAMPLE_RATE_HZ
            # Pinned memory is copied to the device while the device works on something else.
            groups.append(AudioGroup(rows.pin_memory() if self._device.type == "cuda" else rows, frames, padded_s))
        return groups

    def answer(
        self, head: Sequence[int], groups: Sequence[AudioGroup], rows: Sequence[Sequence[PromptBranch]]
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        """Answers to the questions of each segment of the groups, in order."""
        with torch.inference_mode(), self._current_device():
            try:
                return self._answer(head, groups, rows)
            except torch.OutOfMemoryError:
                self._decoder.release_memory()
                raise

    def _answer(
        self, head: Sequence[int], groups: Sequence[AudioGroup], rows: Sequence[Sequence[PromptBranch]]
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        heard, start = [], 0
        for group in groups:
            of_group = rows[start : start + len(group.frames)]
            start += len(group.frames)
            frames = torch.tensor(group.frames, device=self._device)
            mels = self._mels.spectrograms(group.rows.to(self._device, non_blocking=True), max(group.frames))
            audio, tokens = encode_audio(self._model, mels, frames)
            heard.append(self._decoder.prefill(head, audio, tokens.tolist(), of_group))
        return self._decoder.decode(heard, rows)

    def _current_device(self) -> contextlib.AbstractContextManager[object]:
        """Makes the model's device the one that streams and graphs belong to."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else contextlib.nullcontext()


def _stops(model: Qwen2AudioForConditionalGeneration) -> list[int]:
    stops = model.generation_config.eos_token_id
    if stops is None:
        raise ValueError("neither its generation_config.json nor its config.json names an eos_token_id")
    return stops if isinstance(stops, list) else [stops]


def load_models(folder: str, options: JobOptions) -> list[Qwen2AudioModel]:
    """A copy of the checkpoint on each visible CUDA device, or one on the CPU.

    Raises:
        JobError: there is no such device, or the weights cannot be loaded.
    """
    return load_replicas("Qwen2-Audio", folder, options, partial(_load, folder))


def _load(folder: str, place: str, dtype: torch.dtype) -> Qwen2AudioModel:
    model = load_whole(Qwen2AudioForConditionalGeneration, folder, dtype, attention="sdpa")
    extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    return Qwen2AudioModel(model.to(place), extractor)


def load_prompts(folder: str) -> Prompts:
    """The checkpoint's templates and tokenizer.

    Raises:
        JobError: they cannot be read, or do not suit.
    """
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        config = Qwen2AudioConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise JobError(f"the processor in {folder} cannot be loaded: {error}") from error
    context_tokens = int(config.text_config.max_position_embeddings) - LONGEST_AUDIO_TOKENS
    return Prompts(processor, has_chat_template(Path(folder)), context_tokens)
