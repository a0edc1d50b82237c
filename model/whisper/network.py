"""A Whisper checkpoint of transformers in memory: encoder and decoder for batches of segments."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTimeStampLogitsProcessor
from transformers.modeling_outputs import BaseModelOutput

from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.transformers_generate import end_tokens, generate_tokens
from earmark.model.features.log_mels import LogMels

# The extractor's value for the least power it resolves, and its range below the loudest value: log10(1e-10) and 8,
# both scaled as (x + 4) / 4 (WhisperFeatureExtractor._torch_extract_fbank_features).
NO_POWER, RANGE = -1.5, 2.0
# Segments in a batch on a CPU; a GPU takes all at once. The encoder's activations of more segments leave the CPU's
# cache, and the library's loop runs finished texts until the last one ends (measured with tiny.en on two cores).
CPU_ENCODE_BATCH, CPU_DECODE_BATCH = 2, 4
FRAMES_PER_POSITION = 2  # of the spectrogram; the encoder's second convolution has this stride


class WhisperNetwork:
    """One replica of the model on one device. Not thread-safe."""

    def __init__(self, network: WhisperForConditionalGeneration, extractor: WhisperFeatureExtractor):
        self._network = network.eval()
        self._mels = LogMels(extractor, network.device)
        self._frames = FRAMES_PER_POSITION * network.config.max_source_positions
        # Half of the decoder's context, as in Whisper's reference code (whisper/decoding.py, sample_len).
        self.max_new_tokens = network.config.max_target_positions // 2
        config = network.generation_config
        end_tokens(network)
        config.max_length = None  # which would contradict max_new_tokens
        config.forced_decoder_ids = None  # older checkpoints have their prompts there; here each clip has its own
        self.own_beam_size: int = config.num_beams or 1

    def encode(self, clips: Sequence[np.ndarray]) -> BaseModelOutput:
        """The encoder's states of clips of at most 30 s (float32 at 16 kHz), each padded to 30 s.

        last_hidden_state is (clips, positions, width); a position is 20 ms.
        """
        rows = self._mels.stack(clips, 0).to(self._network.device)
        mels = self._mels.spectrograms(rows, max(self._mels.frames(len(clip)) for clip in clips))
        silence = (mels.amax(dim=(1, 2), keepdim=True) - RANGE).clamp(min=NO_POWER)
        padding = silence.expand(-1, mels.shape[1], self._frames - mels.shape[2])
        mels = torch.cat([mels, padding], dim=2).to(self._network.dtype)
        encoder = self._network.get_encoder()
        states = [encoder(chunk).last_hidden_state for chunk in self._chunks(mels, CPU_ENCODE_BATCH)]
        return BaseModelOutput(last_hidden_state=torch.cat(states))

    def first_token_probabilities(self, encoded: BaseModelOutput, start: int) -> torch.Tensor:
        """Probability of each token as the first after the token `start`: float32 (clips, vocabulary)."""
        states = encoded.last_hidden_state
        starts = torch.full((len(states), 1), start, device=states.device)
        logits: torch.Tensor = self._network(encoder_outputs=encoded, decoder_input_ids=starts, use_cache=False).logits
        return logits[:, -1].float().softmax(dim=-1)

    def decode(
        self, encoded: BaseModelOutput, prompts: Sequence[Sequence[int]], beam_size: int, timestamps: bool
    ) -> list[Decoded]:
        """The decoder's output for each clip after its prompt; all prompts have the same length."""
        begin = len(prompts[0])
        rules = [WhisperTimeStampLogitsProcessor(self._network.generation_config, begin)] if timestamps else []
        states = self._chunks(encoded.last_hidden_state, CPU_DECODE_BATCH)
        prompt_ids = self._chunks(torch.tensor(prompts, device=self._network.device), CPU_DECODE_BATCH)
        decoded: list[Decoded] = []
        for hidden, ids in zip(states, prompt_ids, strict=True):
            mask = torch.ones(len(ids), self._frames, dtype=torch.int64, device=ids.device)
            chunk = BaseModelOutput(last_hidden_state=hidden)
            decoded += generate_tokens(self._network, chunk, mask, ids, beam_size, self.max_new_tokens, rules)
        return decoded

    def _chunks(self, rows: torch.Tensor, cpu_batch: int) -> tuple[torch.Tensor, ...]:
        """Rows in chunks of at most `cpu_batch` on a CPU, as one chunk on a GPU."""
        chunks: tuple[torch.Tensor, ...] = rows.split(cpu_batch if rows.device.type == "cpu" else len(rows))
        return chunks
