"""Greedy decoding of several answers about each clip of a batch, side by side: the decode loop."""

from dataclasses import dataclass
from typing import Protocol

import torch

from earmark.model.decoding.prompt_tree import NO_BRANCH


class StepRunner(Protocol):
    """A language model after its prefill: runs one decode step for all open answers of a batch."""

    def decode_step(self, tokens: torch.Tensor, positions: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        """Append one token to each answer and return the logits after it, float32 (clips, branches, vocabulary).

        Args:
            tokens: Token ids, int64 (clips, branches).
            positions: Position ids of the tokens, int64 (clips, branches).
            branch: Column of the answer that each token belongs to, or NO_BRANCH, int64 (clips, branches).
        """
        ...

    def should_shrink(self, open_clips: int, clips: int) -> bool:
        """Whether a batch of `clips`, of which `open_clips` have open answers, is worth shrinking."""
        ...

    def keep_clips(self, clips: torch.Tensor) -> None:
        """Drop all clips except those at the indices `clips`."""
        ...


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer as token ids.

    Attributes:
        tokens: Token ids without the end token.
        logprob_sum: Sum of the log-probabilities of the tokens, and of the end token if the answer has one.
        token_count: Number of tokens in `logprob_sum`.
        truncated: Whether the answer was cut at its limit.
    """

    tokens: tuple[int, ...]
    logprob_sum: float
    token_count: int
    truncated: bool


def decode_greedily(
    runner: StepRunner, logits: torch.Tensor, positions: torch.Tensor, limits: torch.Tensor, eos_ids: torch.Tensor
) -> list[list[Decoded]]:
    """Decode the answers of a batch after its prefill; return them by clip and column.

    Args:
        runner: The language model, with the prefilled KV cache.
        logits: Logits of each answer's first token, float32 (clips, columns, vocabulary).
        positions: Position ids of the first tokens, int64 (clips, columns).
        limits: Maximum number of tokens of each answer with its end token, 0 for no answer, int64 (clips, columns).
        eos_ids: Ids of the tokens that end an answer.
    """
    clips = torch.arange(limits.shape[0], device=limits.device)
    branch = torch.arange(limits.shape[1], device=limits.device).expand_as(limits)
    branch = torch.where(limits > 0, branch, NO_BRANCH)
    hypotheses = _Hypotheses(limits)
    while True:
        tokens = logits.argmax(-1)
        logprobs = logits.gather(-1, tokens[..., None])[..., 0] - logits.logsumexp(-1)
        is_open = hypotheses.add(clips, branch, tokens, logprobs, torch.isin(tokens, eos_ids))
        branch = torch.where(is_open, branch, NO_BRANCH)
        has_open = is_open.any(1)
        # One transfer from the device for both numbers.
        open_clips, width = torch.stack([has_open.sum(), is_open.sum(1).max()]).tolist()
        if not open_clips:
            return hypotheses.decoded()
        if (open_clips, width) != tuple(branch.shape) and runner.should_shrink(open_clips, len(clips)):
            # Finished clips leave the batch, and finished answers leave their clip.
            order = torch.argsort(~is_open, dim=1, stable=True)[has_open, :width]
            branch, tokens, positions = (rows[has_open].gather(1, order) for rows in (branch, tokens, positions))
            if open_clips < len(clips):
                clips = clips[has_open]
                runner.keep_clips(has_open.nonzero()[:, 0])
        logits = runner.decode_step(tokens, positions, branch)
        positions = positions + 1


class _Hypotheses:
    """Tokens decoded so far for each clip and column, and their log-probabilities.

    A column behind the last one collects the tokens of NO_BRANCH, so that a step can be written with one index.
    """

    def __init__(self, limits: torch.Tensor):
        self._limits = torch.cat([limits, limits.new_zeros(len(limits), 1)], 1)
        self._steps: list[torch.Tensor] = []  # for each step (clips, columns) token ids, or -1
        self._logprob_sums = torch.zeros(self._limits.shape, device=limits.device)
        self._token_counts = torch.zeros_like(self._limits)
        self._ended = torch.zeros_like(self._limits, dtype=torch.bool)

    def add(
        self,
        clips: torch.Tensor,
        branch: torch.Tensor,
        tokens: torch.Tensor,
        logprobs: torch.Tensor,
        ended: torch.Tensor,
    ) -> torch.Tensor:
        """Append one token to each answer, all (clips, branches); return which answers are still open."""
        columns = torch.where(branch == NO_BRANCH, self._limits.shape[1] - 1, branch)
        index = (clips[:, None].expand_as(columns), columns)
        step = torch.full_like(self._limits, -1)
        step[index] = torch.where(ended, -1, tokens)
        self._steps.append(step)
        self._logprob_sums[index] += logprobs
        self._token_counts[index] += 1
        self._ended[index] |= ended
        return (branch != NO_BRANCH) & ~ended & (self._token_counts[index] < self._limits[index])

    def decoded(self) -> list[list[Decoded]]:
        """Return the answers by clip and column."""
        tokens = torch.stack(self._steps, -1).tolist()
        clips = zip(tokens, self._logprob_sums.tolist(), self._token_counts.tolist(), self._ended.tolist(), strict=True)
        return [
            [
                Decoded(tuple(token for token in answer if token >= 0), logprob_sum, token_count, not ended)
                for answer, logprob_sum, token_count, ended in list(zip(*clip, strict=True))[:-1]
            ]
            for clip in clips
        ]
