"""Several questions about each clip of a batch, answered from one pass over its audio.

The audio is taken in once; every answer is decoded greedily from the same keys and values, side by side. What has been
answered leaves the batch at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from earmark.model.decoding.cuda_graphs import GraphedSteps
from earmark.model.decoding.greedy import Decoded, Steps, decode_greedily
from earmark.model.decoding.kv_cache import SlotCache
from earmark.model.decoding.prompt_tree import NO_LABEL, PADDING, PromptTree, Rows, build_prompt_tree
from earmark.model.decoding.step_runner import GrowingSteps, run_tokens, visible_to

LOGIT_ROWS = 256  # positions whose logits over the whole vocabulary are held at a time


@dataclass(frozen=True, slots=True)
class LabelLogprobs:
    """Log-likelihood of each label with its end token, in the order of the labels."""

    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PrefillState:
    """Clips whose audio and questions a model has taken in.

    Attributes:
        cache: keys and values of head, audio and questions.
        slot_branch: int64 (clips, slots of the cache), as PromptTree.slot_branch.
        first_logits: float32 (clips, columns, vocabulary), of each answer's first token.
        positions: int64 (clips, columns), of each answer's first token.
        weighed: (clips, columns) label likelihoods, None where the answer is text.
    """

    cache: SlotCache
    slot_branch: torch.Tensor
    first_logits: torch.Tensor
    positions: torch.Tensor
    weighed: list[list[LabelLogprobs | None]]


class SharedPrefixDecoder:
    """The language model of an audio model, and the end of its answers.

    Args:
        language_model: transformers' decoder, from embeddings to hidden states, of full attention.
        lm_head: from hidden states to logits.
        eos_ids: tokens that end an answer.
        capturable: whether a step of the decoder can be captured as a CUDA graph.
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
        self._graphs = GraphedSteps(language_model, lm_head)
        self._graphed = self._device.type == "cuda" and capturable
        self._eos_ids = torch.tensor(sorted(eos_ids), device=self._device)

    def prefill(
        self,
        prefix_ids: Sequence[int],
        audio: torch.Tensor,
        audio_tokens: Sequence[int],
        rows: Rows,
    ) -> PrefillState:
        """One pass over head, audio (clips, tokens of the longest, hidden size) and every question."""
        layout = build_prompt_tree(prefix_ids, audio_tokens, rows)
        slot_branch = self._tensor(layout.slot_branch)
        embedded = self._model.embed_tokens(self._tensor(layout.tokens))
        embedded[:, layout.audio_start : layout.audio_start + audio.shape[1]] = audio.to(embedded.dtype)
        cache = SlotCache(self._layers)
        positions, last = self._tensor(layout.positions), self._tensor(layout.last)
        visible = _visible(slot_branch, self._tensor(layout.slot_label))
        hidden = run_tokens(self._model, embedded, visible, positions, cache)
        cache.advance(layout.text_slots)
        ends = hidden[torch.arange(len(rows), device=self._device)[:, None], last]
        first_logits = self._logits(ends)
        return PrefillState(
            cache,
            slot_branch[:, : layout.text_slots],
            first_logits,
            positions.gather(1, last) + 1,
            self._weigh(hidden, first_logits, layout, rows),
        )

    def answer(self, batch: Sequence[PrefillState], rows: Rows) -> list[list[Decoded | LabelLogprobs | None]]:
        """Answers of all clips of the batch, clip by clip and question by question; None where nothing is asked."""
        heard = _join(batch)
        limits = np.array(
            [
                [0 if question.labels or not question.tokens else question.max_new_tokens for question in row]
                for row in rows
            ]
        )
        steps = self._start(heard)
        try:
            said = decode_greedily(steps, heard.first_logits, heard.positions, self._tensor(limits), self._eos_ids)
        finally:
            self._graphs.finish()
        return [
            [weight or (said[clip][column] if limits[clip, column] else None) for column, weight in enumerate(row)]
            for clip, row in enumerate(heard.weighed)
        ]

    def release_memory(self) -> None:
        """Gives all memory back that is kept for the next batch."""
        self._graphs.forget()

    def _start(self, heard: PrefillState) -> Steps:
        if self._graphed:
            self._graphs.start(heard.cache, heard.slot_branch)
            return self._graphs
        return GrowingSteps(self._model, self._lm_head, heard.cache, heard.slot_branch)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._lm_head(hidden).float()
        return logits

    def _weigh(
        self,
        hidden: torch.Tensor,
        first_logits: torch.Tensor,
        layout: PromptTree,
        rows: Rows,
    ) -> list[list[LabelLogprobs | None]]:
        """Log-likelihood of the labels, from the logits of the answers' first tokens and the labels' hidden states."""
        weighed: list[list[LabelLogprobs | None]] = [[None] * len(row) for row in rows]
        for column, starts in enumerate(layout.label_start):
            if not starts:
                continue
            labels = rows[0][column].labels
            firsts = torch.tensor([label[0] for label in labels], device=self._device)
            sums = first_logits[:, column].log_softmax(-1)[:, firsts]
            rest = torch.tensor([token for label in labels for token in label[1:]], device=self._device)
            of_label = [index for index, label in enumerate(labels) for _ in label[1:]]
            logprobs = self._logprobs(hidden[:, starts[0] : starts[0] + len(rest)], rest)
            sums.index_add_(1, torch.tensor(of_label, device=self._device), logprobs)
            for clip, row in enumerate(sums.tolist()):
                weighed[clip][column] = LabelLogprobs(tuple(row)) if rows[clip][column].tokens else None
        return weighed

    def _logprobs(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Log-probability of tokens (n,) after states (clips, n, hidden size): float32 (clips, n)."""
        wanted = tokens.expand(states.shape[0], -1)
        step = max(1, LOGIT_ROWS // len(tokens))
        parts = [
            self._logits(some).log_softmax(-1).gather(-1, tokens_of[..., None])[..., 0]
            for some, tokens_of in zip(states.split(step), wanted.split(step), strict=True)
        ]
        return torch.cat(parts)


def _visible(slot_branch: torch.Tensor, slot_label: torch.Tensor) -> torch.Tensor:
    """bool (clips, slots, slots): which slot (row) sees which (column). What padding sees does not matter."""
    before = torch.ones(len(slot_label), len(slot_label), dtype=torch.bool, device=slot_label.device).tril()
    branch = (slot_label == NO_LABEL)[None, :] | (slot_label[None, :] == slot_label[:, None])
    return before & branch & visible_to(slot_branch, slot_branch)


def _join(batch: Sequence[PrefillState]) -> PrefillState:
    """All clips in one, whatever the number of their slots."""
    if len(batch) == 1:
        return batch[0]
    cache = SlotCache.joined([heard.cache for heard in batch])
    return PrefillState(
        cache,
        torch.cat(
            [
                functional.pad(heard.slot_branch, (0, cache.used - heard.slot_branch.shape[1]), value=PADDING)
                for heard in batch
            ]
        ),
        torch.cat([heard.first_logits for heard in batch]),
        torch.cat([heard.positions for heard in batch]),
        [row for heard in batch for row in heard.weighed],
    )
