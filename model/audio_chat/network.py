"""Weights of an audio language model: one replica on each device, in float32 on a CPU, in bfloat16 on CUDA."""

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import transformers
from torch.nn.utils.rnn import pad_sequence

from earmark.model.audio_chat.chat_format import AudioInputs, ChatFormat
from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.prefix_decoder import LabelLogprobs, PrefillState, SharedPrefixDecoder
from earmark.model.decoding.prompt_tree import Rows
from earmark.model.runtime.replicas import load_replicas
from earmark.schemas.job import JobOptions


class AudioChatModel:
    """One replica, on one device, for one thread at a time.

    Args:
        network: Model of transformers with `get_audio_features`, `model.language_model` and `lm_head`.
        eos_ids: Ids of the tokens that end an answer.
        capturable: Whether a decode step can be captured as a CUDA graph.
    """

    def __init__(self, network: Any, eos_ids: Sequence[int], capturable: bool):
        self._network = network
        self._decoder = SharedPrefixDecoder(network.model.language_model, network.lm_head, eos_ids, capturable)

    def answer(
        self, prefix_ids: Sequence[int], groups: Sequence[Sequence[AudioInputs]], rows: Rows
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        """Answer the questions about each segment of the groups, in order.

        Args:
            prefix_ids: Token ids before the audio.
            groups: Segments; those of a group are encoded and prefilled together.
            rows: Questions about each segment.
        """
        with torch.inference_mode(), self._current_device():
            try:
                states, start = [], 0
                for group in groups:
                    states.append(self._prefill(prefix_ids, group, rows[start : start + len(group)]))
                    start += len(group)
                return self._decoder.decode(states, rows)
            except torch.OutOfMemoryError:
                self._decoder.release_memory()
                raise

    def _prefill(self, prefix_ids: Sequence[int], group: Sequence[AudioInputs], rows: Rows) -> PrefillState:
        inputs = {name: self._stacked([audio.inputs[name] for audio in group]) for name in group[0].inputs}
        # (tokens of all segments, hidden size)
        embeddings = self._network.get_audio_features(**inputs, return_dict=True).pooler_output
        tokens = [audio.tokens for audio in group]
        return self._decoder.prefill(prefix_ids, pad_sequence(embeddings.split(tokens), batch_first=True), tokens, rows)

    def _stacked(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Pad tensors (1, ..., length) with zeros, and stack them to one (parts, ..., longest) on the device."""
        longest = max(part.shape[-1] for part in parts)
        stacked = torch.cat([torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts])
        dtype = self._network.dtype if stacked.is_floating_point() else stacked.dtype
        return stacked.to(self._network.device, dtype)

    def _current_device(self) -> contextlib.AbstractContextManager[object]:
        """Make the model's device the current one, on which CUDA streams and graphs are made."""
        device = self._network.device
        return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def load_models(folder: str, chat: ChatFormat, eos_ids: Sequence[int], options: JobOptions) -> list[AudioChatModel]:
    """Load a replica on each visible CUDA device, or one on the CPU.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """
    return load_replicas(chat.about, folder, options, partial(_load, folder, chat, eos_ids))


def _load(folder: str, chat: ChatFormat, eos_ids: Sequence[int], device: str, dtype: torch.dtype) -> AudioChatModel:
    network = load_pretrained(getattr(transformers, chat.network), folder, dtype, attention="sdpa")
    return AudioChatModel(network.to(device), eos_ids, chat.capturable)
