"""Decoding over keys and values that grow with the answers, and shrink when clips leave."""

import torch
from transformers import PreTrainedModel

from earmark.model.decoding.kv_cache import SlotCache
from earmark.model.decoding.prompt_tree import PREFIX


def run_tokens(
    model: PreTrainedModel, embedded: torch.Tensor, visible: torch.Tensor, positions: torch.Tensor, cache: object
) -> torch.Tensor:
    """Hidden states of new tokens, whose keys and values go into the cache.

    Args:
        embedded: (clips, tokens, hidden size).
        visible: bool (clips, tokens, slots), who sees what.
        positions: int64 (clips, tokens).
        cache: stands in for transformers' Cache.
    """
    hidden: torch.Tensor = model(
        inputs_embeds=embedded,
        attention_mask=visible[:, None],  # of four dimensions, which transformers takes as they are
        position_ids=positions,
        cache=cache,
        use_cache=True,
    ).last_hidden_state
    return hidden


def visible_to(branch: torch.Tensor, slot_branch: torch.Tensor) -> torch.Tensor:
    """bool (clips, branches, slots): a slot is seen by all, or by the answer that it belongs to."""
    return (slot_branch[:, None, :] == PREFIX) | (slot_branch[:, None, :] == branch[:, :, None])


def next_logits(
    model: PreTrainedModel,
    head: torch.nn.Linear,
    chosen: torch.Tensor,
    visible: torch.Tensor,
    positions: torch.Tensor,
    cache: object,
) -> torch.Tensor:
    """Logits after tokens that were chosen, float32 (clips, answers, vocabulary); the rest as in run_tokens."""
    hidden = run_tokens(model, model.embed_tokens(chosen), visible, positions, cache)
    logits: torch.Tensor = head(hidden).float()
    return logits


class GrowingSteps:
    """Steps whose tensors are as large as what is left to answer."""

    def __init__(self, model: PreTrainedModel, head: torch.nn.Linear, cache: SlotCache, slot_branch: torch.Tensor):
        self._model, self._head, self._cache, self._owner = model, head, cache, slot_branch

    def step(self, chosen: torch.Tensor, positions: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        self._owner = torch.cat([self._owner, branch], 1)
        visible = visible_to(branch, self._owner)
        logits = next_logits(self._model, self._head, chosen, visible, positions, self._cache)
        self._cache.advance(chosen.shape[1])
        return logits

    def may_leave(self, staying: int, clips: int) -> bool:
        return True

    def keep_clips(self, kept: torch.Tensor) -> None:
        self._owner = self._owner[kept]
        self._cache.keep_clips(kept)
