"""An audio language model in memory: one copy a device, in 32 bits on a CPU and in bfloat16 on a GPU."""

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import transformers
from torch.nn.utils.rnn import pad_sequence

from earmark.model.audio_chat.chat_format import AudioInputs, ChatFormat
from earmark.model.checkpoints.weights import load_whole
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.prefix_decoder import LabelLogprobs, PrefillState, SharedPrefixDecoder
from earmark.model.decoding.prompt_tree import Rows
from earmark.model.runtime.replicas import load_replicas
from earmark.schemas.job import JobOptions


class AudioChatModel:
    """One copy of the weights on one device. Not for several threads at a time.

    Args:
        network: transformers' model, with `get_audio_features`, `model.language_model` and `lm_head`.
        stops: tokens that end an answer.
        capturable: whether a step of the decoder can be captured as a CUDA graph.
    """

    def __init__(self, network: Any, stops: Sequence[int], capturable: bool):
        self._network = network
        self._decoder = SharedPrefixDecoder(network.model.language_model, network.lm_head, stops, capturable)

    def answer(
        self, head: Sequence[int], groups: Sequence[Sequence[AudioInputs]], rows: Rows
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        """Answers to the questions of each sound of the groups, in order; a group is encoded at once."""
        with torch.inference_mode(), self._current_device():
            try:
                heard, start = [], 0
                for group in groups:
                    heard.append(self._take_in(head, group, rows[start : start + len(group)]))
                    start += len(group)
                return self._decoder.decode(heard, rows)
            except torch.OutOfMemoryError:
                self._decoder.release_memory()
                raise

    def _take_in(self, head: Sequence[int], group: Sequence[AudioInputs], rows: Rows) -> PrefillState:
        inputs = {name: self._stacked([sound.inputs[name] for sound in group]) for name in group[0].inputs}
        # The audio of all clips, one behind the other: (tokens, hidden size).
        audio = self._network.get_audio_features(**inputs, return_dict=True).pooler_output
        tokens = [sound.tokens for sound in group]
        return self._decoder.prefill(head, pad_sequence(audio.split(tokens), batch_first=True), tokens, rows)

    def _stacked(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Parts (1, ..., length) as one (parts, ..., longest) tensor on the device, with zeros behind them."""
        longest = max(part.shape[-1] for part in parts)
        whole = torch.cat([torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts])
        dtype = self._network.dtype if whole.is_floating_point() else whole.dtype
        return whole.to(self._network.device, dtype)

    def _current_device(self) -> contextlib.AbstractContextManager[object]:
        """Makes the model's device the one that streams and graphs belong to."""
        device = self._network.device
        return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def load_models(folder: str, chat: ChatFormat, stops: Sequence[int], options: JobOptions) -> list[AudioChatModel]:
    """A copy of the checkpoint on each visible CUDA device, or one on the CPU.

    Raises:
        JobError: there is no such device, or the weights cannot be loaded.
    """
    return load_replicas(chat.about, folder, options, partial(_load, folder, chat, stops))


def _load(folder: str, chat: ChatFormat, stops: Sequence[int], place: str, dtype: torch.dtype) -> AudioChatModel:
    network = load_whole(getattr(transformers, chat.network), folder, dtype, attention="sdpa")
    return AudioChatModel(network.to(place), stops, chat.capturable)
