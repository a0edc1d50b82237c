"""Prefill and decode for several questions about each clip of a batch, whose audio is encoded into the KV cache once.

`SharedPrefixDecoder.prefill` runs the prefix, the audio and all questions of some clips through the language model in
one forward pass, and scores labels from it. `SharedPrefixDecoder.decode` joins what was prefilled and decodes all
answers greedily, side by side, from the same keys and values. Finished answers leave the batch at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from earmark.model.decoding.cuda_graphs import CudaGraphStepRunner
from earmark.model.decoding.greedy import Decoded, StepRunner, decode_greedily
from earmark.model.decoding.kv_cache import SlotCache
from earmark.model.decoding.prompt_tree import NO_LABEL, PADDING, PromptTree, Rows, build_prompt_tree
from earmark.model.decoding.step_runner import GrowingStepRunner, forward, visible_slots

LOGIT_ROWS = 256  # positions whose logits over the whole vocabulary are in memory at a time


@dataclass(frozen=True, slots=True)
class LabelLogprobs:
    """Log-likelihood of each label including the end token, in the order of the labels."""

    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PrefillState:
    """Clips after their prefill.

    Attributes:
        cache: Keys and values of the prefix, the audio and the questions.
        slot_branch: Branch that each slot of the cache belongs to, as in PromptTree, int64 (clips, slots).
        first_logits: Logits of each answer's first token, float32 (clips, columns, vocabulary).
        positions: Position ids of the first tokens, int64 (clips, columns).
        label_logprobs: Label scores by clip and column, None where the answer is free text or not requested.
    """

    cache: SlotCache
    slot_branch: torch.Tensor
    first_logits: torch.Tensor
    positions: torch.Tensor
    label_logprobs: list[list[LabelLogprobs | None]]


class SharedPrefixDecoder:
    """The language model of an audio model, for one thread at a time.

    Args:
        language_model: Decoder of transformers, from embeddings to hidden states, with full attention.
        lm_head: Linear layer from hidden states to logits.
        eos_ids: Ids of the tokens that end an answer.
        capturable: Whether a decode step can be captured as a CUDA graph.
    """

    def __init__(
        self,
        language_model: PreTrainedModel,
        lm_head: torch.nn.Linear,
        eos_ids: Sequence[int],
        capturable: bool = True,
    ):
        self._model, self._lm_head = language_model, lm_head
        self._layers = int(language_model.config.num_hidden_layers)
        self._device = lm_head.weight.device
        self._graph_runner = CudaGraphStepRunner(language_model, lm_head)
        self._uses_graphs = self._device.type == "cuda" and capturable
        self._eos_ids = torch.tensor(sorted(eos_ids), device=self._device)

    def prefill(
        self,
        prefix_ids: Sequence[int],
        audio: torch.Tensor,
        audio_tokens: Sequence[int],
        rows: Rows,
    ) -> PrefillState:
        """Run the prefix, the audio and every question of some clips through the model in one pass.

        Args:
            prefix_ids: Token ids before the audio.
            audio: Embeddings of the audio, padded to the longest clip, (clips, tokens, hidden size).
            audio_tokens: Number of audio tokens of each clip.
            rows: Questions of each clip.
        """
        tree = build_prompt_tree(prefix_ids, audio_tokens, rows)
        slot_branch = self._tensor(tree.slot_branch)
        embedded = self._model.embed_tokens(self._tensor(tree.tokens))
        embedded[:, tree.audio_start : tree.audio_start + audio.shape[1]] = audio.to(embedded.dtype)
        cache = SlotCache(self._layers)
        positions, last = self._tensor(tree.positions), self._tensor(tree.last)
        visible = _prefill_mask(slot_branch, self._tensor(tree.slot_label))
        hidden = forward(self._model, embedded, visible, positions, cache)
        cache.advance(tree.text_slots)
        last_hidden = hidden[torch.arange(len(rows), device=self._device)[:, None], last]
        first_logits = self._logits(last_hidden)
        return PrefillState(
            cache,
            slot_branch[:, : tree.text_slots],
            first_logits,
            positions.gather(1, last) + 1,
            self._score_labels(hidden, first_logits, tree, rows),
        )

    def decode(self, batch: Sequence[PrefillState], rows: Rows) -> list[list[Decoded | LabelLogprobs | None]]:
        """Answer the questions of all clips of the batch, by clip and column; None where there is no question."""
        state = _join(batch)
        limits = np.array(
            [
                [0 if question.labels or not question.tokens else question.max_new_tokens for question in row]
                for row in rows
            ]
        )
        runner = self._start(state)
        try:
            texts = decode_greedily(runner, state.first_logits, state.positions, self._tensor(limits), self._eos_ids)
        finally:
            self._graph_runner.finish()
        return [
            [scores or (texts[clip][column] if limits[clip, column] else None) for column, scores in enumerate(row)]
            for clip, row in enumerate(state.label_logprobs)
        ]

    def release_memory(self) -> None:
        """Free all memory that is kept for the next batch."""
        self._graph_runner.release_memory()

    def _start(self, state: PrefillState) -> StepRunner:
        if self._uses_graphs:
            self._graph_runner.start(state.cache, state.slot_branch)
            return self._graph_runner
        return GrowingStepRunner(self._model, self._lm_head, state.cache, state.slot_branch)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._lm_head(hidden).float()
        return logits

    def _score_labels(
        self,
        hidden: torch.Tensor,
        first_logits: torch.Tensor,
        tree: PromptTree,
        rows: Rows,
    ) -> list[list[LabelLogprobs | None]]:
        """Log-likelihoods of the labels, from the logits of their first tokens and the hidden states of the others."""
        scores: list[list[LabelLogprobs | None]] = [[None] * len(row) for row in rows]
        for column, starts in enumerate(tree.label_start):
            if not starts:
                continue
            labels = rows[0][column].labels
            first_ids = torch.tensor([label[0] for label in labels], device=self._device)
            sums = first_logits[:, column].log_softmax(-1)[:, first_ids]
            later_ids = torch.tensor([token for label in labels for token in label[1:]], device=self._device)
            label_of_id = [index for index, label in enumerate(labels) for _ in label[1:]]
            logprobs = self._logprobs(hidden[:, starts[0] : starts[0] + len(later_ids)], later_ids)
            sums.index_add_(1, torch.tensor(label_of_id, device=self._device), logprobs)
            for clip, row in enumerate(sums.tolist()):
                scores[clip][column] = LabelLogprobs(tuple(row)) if rows[clip][column].tokens else None
        return scores

    def _logprobs(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of token ids (n,) after hidden states (clips, n, hidden size), float32 (clips, n)."""
        targets = tokens.expand(states.shape[0], -1)
        clips = max(1, LOGIT_ROWS // len(tokens))
        parts = [
            self._logits(some_states).log_softmax(-1).gather(-1, some_targets[..., None])[..., 0]
            for some_states, some_targets in zip(states.split(clips), targets.split(clips), strict=True)
        ]
        return torch.cat(parts)


def _prefill_mask(slot_branch: torch.Tensor, slot_label: torch.Tensor) -> torch.Tensor:
    """Attention mask of the prefill, bool (clips, slots, slots): which slot (row) sees which slot (column).

    Causal within a branch; a label's slots are seen by that label alone. Rows of padding are arbitrary.
    """
    causal = torch.ones(len(slot_label), len(slot_label), dtype=torch.bool, device=slot_label.device).tril()
    same_label = (slot_label == NO_LABEL)[None, :] | (slot_label[None, :] == slot_label[:, None])
    return causal & same_label & visible_slots(slot_branch, slot_branch)


def _join(batch: Sequence[PrefillState]) -> PrefillState:
    """Join the states of several groups of clips, whose numbers of slots may differ."""
    if len(batch) == 1:
        return batch[0]
    cache = SlotCache.joined([state.cache for state in batch])
    return PrefillState(
        cache,
        torch.cat(
            [
                functional.pad(state.slot_branch, (0, cache.used - state.slot_branch.shape[1]), value=PADDING)
                for state in batch
            ]
        ),
        torch.cat([state.first_logits for state in batch]),
        torch.cat([state.positions for state in batch]),
        [row for state in batch for row in state.label_logprobs],
    )
