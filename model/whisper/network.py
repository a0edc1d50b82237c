"""A Whisper checkpoint of transformers in memory: its encoder, and its decoder, each for a batch of segments."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTimeStampLogitsProcessor
from transformers.modeling_outputs import BaseModelOutput

from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.transformers_generate import end_tokens, generate_tokens
from earmark.model.features.log_mels import LogMels

# What the extractor makes of the least power that it tells from none, and how far below the loudest it cuts:
# log10(1e-10) and 8, both as (x + 4) / 4 (WhisperFeatureExtractor._torch_extract_fbank_features).
NO_POWER, RANGE = -1.5, 2.0
# Segments that a CPU takes at a time, a GPU takes all: the encoder's activations of more leave the CPU's cache, and the
# library's loop goes on with texts that have ended until the last of them has (measured with tiny.en on two cores).
CPU_ENCODES, CPU_WRITES = 2, 4
FRAMES_PER_POSITION = 2  # of the spectrogram; the encoder's second convolution has this stride


class WhisperNetwork:
    """One copy of the weights on one device. Not for several threads at a time."""

    def __init__(self, network: WhisperForConditionalGeneration, extractor: WhisperFeatureExtractor):
        self._network = network.eval()
        self._mels = LogMels(extractor, network.device)
        self._frames = FRAMES_PER_POSITION * network.config.max_source_positions
        # Half of the decoder's context, as in Whisper's reference code (whisper/decoding.py, sample_len).
        self.max_new_tokens = network.config.max_target_positions // 2
        config = network.generation_config
        end_tokens(network)
        config.max_length = None  # which would contradict max_new_tokens
        config.forced_decoder_ids = None  # prompts of older checkpoints; here they are given with each clip
        self.own_beam_size: int = config.num_beams or 1

    def encode(self, clips: Sequence[np.ndarray]) -> BaseModelOutput:
        """The encoder's states of clips of at most 30 s (float32 at 16 kHz), each padded to 30 s.

        last_hidden_state is (clips, positions, width); a position is 20 ms.
        """
        rows = self._mels.stack(clips, 0).to(self._network.device)
        mels = self._mels.spectrograms(rows, max(self._mels.frames(len(clip)) for clip in clips))
        silence = (mels.amax(dim=(1, 2), keepdim=True) - RANGE).clamp(min=NO_POWER)
        rest = silence.expand(-1, mels.shape[1], self._frames - mels.shape[2])
        mels = torch.cat([mels, rest], dim=2).to(self._network.dtype)
        encoder = self._network.get_encoder()
        states = [encoder(part).last_hidden_state for part in self._parts(mels, CPU_ENCODES)]
        return BaseModelOutput(last_hidden_state=torch.cat(states))

    def begin(self, encoded: BaseModelOutput, start: int) -> torch.Tensor:
        """How likely each token is as the first after `start`: float32 (clips, vocabulary), probabilities."""
        states = encoded.last_hidden_state
        starts = torch.full((len(states), 1), start, device=states.device)
        logits: torch.Tensor = self._network(encoder_outputs=encoded, decoder_input_ids=starts, use_cache=False).logits
        return logits[:, -1].float().softmax(dim=-1)

    def write(
        self, encoded: BaseModelOutput, prompts: Sequence[Sequence[int]], beam_size: int, timestamps: bool
    ) -> list[Decoded]:
        """What the decoder writes about each clip after its prompt; all prompts have the same length."""
        begin = len(prompts[0])
        rules = [WhisperTimeStampLogitsProcessor(self._network.generation_config, begin)] if timestamps else []
        states = self._parts(encoded.last_hidden_state, CPU_WRITES)
        given = self._parts(torch.tensor(prompts, device=self._network.device), CPU_WRITES)
        said: list[Decoded] = []
        for part, asked in zip(states, given, strict=True):
            mask = torch.ones(len(asked), self._frames, dtype=torch.int64, device=asked.device)
            one = BaseModelOutput(last_hidden_state=part)
            said += generate_tokens(self._network, one, mask, asked, beam_size, self.max_new_tokens, rules)
        return said

    def _parts(self, rows: torch.Tensor, on_cpu: int) -> tuple[torch.Tensor, ...]:
        """Rows in as many pieces as the device takes one after the other."""
        parts: tuple[torch.Tensor, ...] = rows.split(on_cpu if rows.device.type == "cpu" else len(rows))
        return parts
