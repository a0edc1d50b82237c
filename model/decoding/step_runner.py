"""The decode step: one forward pass over one new token of each answer, on a KV cache that grows."""

import torch
from transformers import PreTrainedModel

from earmark.model.decoding.kv_cache import SlotCache
from earmark.model.decoding.prompt_tree import PREFIX


def forward(
    model: PreTrainedModel, embedded: torch.Tensor, visible: torch.Tensor, positions: torch.Tensor, cache: object
) -> torch.Tensor:
    """Run new tokens through the language model, and write their keys and values to the cache.

    Args:
        model: Decoder of transformers, from embeddings to hidden states.
        embedded: Embeddings of the new tokens, (clips, tokens, hidden size).
        visible: Attention mask, bool (clips, tokens, slots), true where a token sees a slot.
        positions: Position ids, int64 (clips, tokens).
        cache: Object with the `update` of transformers' Cache.

    Returns:
        Hidden states, (clips, tokens, hidden size).
    """
    hidden: torch.Tensor = model(
        inputs_embeds=embedded,
        attention_mask=visible[:, None],  # a mask of four dimensions is used by transformers as it is
        position_ids=positions,
        cache=cache,
        use_cache=True,
    ).last_hidden_state
    return hidden


def visible_slots(branch: torch.Tensor, slot_branch: torch.Tensor) -> torch.Tensor:
    """Return which slots each branch sees, bool (clips, branches, slots): those of the prefix and its own."""
    return (slot_branch[:, None, :] == PREFIX) | (slot_branch[:, None, :] == branch[:, :, None])


def next_logits(
    model: PreTrainedModel,
    lm_head: torch.nn.Linear,
    tokens: torch.Tensor,
    visible: torch.Tensor,
    positions: torch.Tensor,
    cache: object,
) -> torch.Tensor:
    """Logits after `tokens`, float32 (clips, branches, vocabulary).

    Args:
        lm_head: Linear layer from hidden states to logits.
        tokens: Newest token id of each answer, int64 (clips, branches).
        model, visible, positions, cache: As in `forward`.
    """
    hidden = forward(model, model.embed_tokens(tokens), visible, positions, cache)
    logits: torch.Tensor = lm_head(hidden).float()
    return logits


class GrowingStepRunner:
    """Decode steps on a cache that grows by a slot a branch, and shrinks as soon as answers are finished."""

    def __init__(self, model: PreTrainedModel, lm_head: torch.nn.Linear, cache: SlotCache, slot_branch: torch.Tensor):
        self._model, self._lm_head, self._cache, self._slot_branch = model, lm_head, cache, slot_branch

    def decode_step(self, tokens: torch.Tensor, positions: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        self._slot_branch = torch.cat([self._slot_branch, branch], 1)
        visible = visible_slots(branch, self._slot_branch)
        logits = next_logits(self._model, self._lm_head, tokens, visible, positions, self._cache)
        self._cache.advance(tokens.shape[1])
        return logits

    def should_shrink(self, open_clips: int, clips: int) -> bool:
        return True

    def keep_clips(self, clips: torch.Tensor) -> None:
        self._slot_branch = self._slot_branch[clips]
        self._cache.keep_clips(clips)
