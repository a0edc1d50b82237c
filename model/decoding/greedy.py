"""Greedy decoding of several answers about each clip of a batch, side by side."""

from dataclasses import dataclass
from typing import Protocol

import torch

from earmark.model.decoding.prompt_tree import NO_BRANCH


class Steps(Protocol):
    """A language model in the middle of answers: it is shown one token of each, and gives the next ones' logits."""

    def step(self, chosen: torch.Tensor, positions: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (clips, branches, vocabulary).

        Args:
            chosen, positions: int64 (clips, branches), a token of each answer and its position.
            branch: int64 (clips, branches), the column that each answer belongs to, or NO_BRANCH.
        """
        ...

    def may_leave(self, staying: int, clips: int) -> bool:
        """Whether it pays to go on with `staying` of the `clips` alone."""
        ...

    def keep_clips(self, kept: torch.Tensor) -> None:
        """Forgets all clips but those at the indices."""
        ...


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer as tokens.

    Attributes:
        tokens: without the end token.
        logprob_sum: of the tokens and, where the answer ended by itself, of the end token.
        token_count: tokens that `logprob_sum` is of.
        truncated: it was cut at its limit.
    """

    tokens: tuple[int, ...]
    logprob_sum: float
    token_count: int
    truncated: bool


def decode_greedily(
    steps: Steps, logits: torch.Tensor, positions: torch.Tensor, limits: torch.Tensor, eos_ids: torch.Tensor
) -> list[list[Decoded]]:
    """Answers by clip and column.

    Args:
        logits: float32 (clips, columns, vocabulary), of each answer's first token.
        positions: int64 (clips, columns), of that token.
        limits: int64 (clips, columns), most tokens of an answer, its end included; 0 where there is none to give.
        eos_ids: tokens that end an answer.
    """
    clips = torch.arange(limits.shape[0], device=limits.device)
    branch = torch.arange(limits.shape[1], device=limits.device).expand_as(limits)
    branch = torch.where(limits > 0, branch, NO_BRANCH)
    spoken = _Spoken(limits)
    while True:
        chosen = logits.argmax(-1)
        logprobs = logits.gather(-1, chosen[..., None])[..., 0] - logits.logsumexp(-1)
        going = spoken.add(clips, branch, chosen, logprobs, torch.isin(chosen, eos_ids))
        branch = torch.where(going, branch, NO_BRANCH)
        staying = going.any(1)
        left, width = torch.stack([staying.sum(), going.sum(1).max()]).tolist()
        if not left:
            return spoken.answers()
        if (left, width) != tuple(branch.shape) and steps.may_leave(left, len(clips)):
            # Those who are done leave: whole clips from the batch, single answers from their clip.
            order = torch.argsort(~going, dim=1, stable=True)[staying, :width]
            branch, chosen, positions = (kept[staying].gather(1, order) for kept in (branch, chosen, positions))
            if left < len(clips):
                clips = clips[staying]
                steps.keep_clips(staying.nonzero()[:, 0])
        logits = steps.step(chosen, positions, branch)
        positions = positions + 1


class _Spoken:
    """What has been said, for each clip and column; a column behind the last takes what nobody asked for."""

    def __init__(self, limits: torch.Tensor):
        self._limits = torch.cat([limits, limits.new_zeros(len(limits), 1)], 1)
        self._steps: list[torch.Tensor] = []  # (clips, columns) a token of each answer, or -1
        self._logprob_sums = torch.zeros(self._limits.shape, device=limits.device)
        self._counted = torch.zeros_like(self._limits)
        self._ended = torch.zeros_like(self._limits, dtype=torch.bool)

    def add(
        self,
        clips: torch.Tensor,
        branch: torch.Tensor,
        chosen: torch.Tensor,
        logprobs: torch.Tensor,
        ended: torch.Tensor,
    ) -> torch.Tensor:
        """Takes down one token of each answer, all (clips, branches); returns who goes on."""
        columns = torch.where(branch == NO_BRANCH, self._limits.shape[1] - 1, branch)
        where = (clips[:, None].expand_as(columns), columns)
        step = torch.full_like(self._limits, -1)
        step[where] = torch.where(ended, -1, chosen)
        self._steps.append(step)
        self._logprob_sums[where] += logprobs
        self._counted[where] += 1
        self._ended[where] |= ended
        return (branch != NO_BRANCH) & ~ended & (self._counted[where] < self._limits[where])

    def answers(self) -> list[list[Decoded]]:
        """What was said, by clip and column."""
        tokens = torch.stack(self._steps, -1).tolist()
        numbers = zip(tokens, self._logprob_sums.tolist(), self._counted.tolist(), self._ended.tolist(), strict=True)
        return [
            [
                Decoded(tuple(token for token in said if token >= 0), logprob_sum, counted, not ended)
                for said, logprob_sum, counted, ended in list(zip(*clip, strict=True))[:-1]
            ]
            for clip in numbers
        ]
