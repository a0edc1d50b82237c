"""Batches that ask all three tasks of each clip at once.

A row is head | audio | three branches, each a question and its answer. A mask lets a branch see the head, the audio and
itself, and positions start again for each: the audio is heard once, and each branch gets what it would get alone.
"""

import random
from dataclasses import dataclass

import torch
from augment import Plan, prepare
from corpus import CAPTIONS, EMOTIONS, WORDS
from log_mel import MEL_BINS, TAIL_FRAMES
from prompts import TASKS, draw_head, draw_prompt, paraphrases, question
from tiny_model import END, additive
from training_set import Label, TrainingSet
from transformers import Qwen2Tokenizer

IGNORED = -100  # cross_entropy's mark of a token that is not asked for
_SHARED, _PADDING = -1, -2  # branches of the head and the audio, and of what follows a row's end


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """What follows the audio, int64 [clips, longest]: tokens, whose branch, place after the audio, next token."""

    tokens: torch.Tensor
    branch: torch.Tensor
    place: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """`mels` is float32 [clips, MEL_BINS, longest], `frames` int64 [clips], `head` int64 [tokens].

    What the helpers are to say: `words` are the numbers of the words spoken, all clips' in a row, from 1 on; `counts`,
    how many are each clip's; `captions` and `emotions` the places in CAPTIONS and EMOTIONS, int64 [clips].
    """

    mels: torch.Tensor
    frames: torch.Tensor
    head: torch.Tensor
    branches: Branches
    words: torch.Tensor
    counts: torch.Tensor
    captions: torch.Tensor
    emotions: torch.Tensor


class Packer:
    """Makes batches from plans; every draw comes from one generator."""

    def __init__(self, clips: TrainingSet, tokenizer: Qwen2Tokenizer, choice: random.Random) -> None:
        self._clips = clips
        self._tokenizer = tokenizer
        self._choice = choice
        self._pools = {task: paraphrases(task) for task in TASKS}
        self._known: dict[str, list[int]] = {}

    def batch(self, plans: list[Plan]) -> Batch:
        longest = max(plan.total for plan in plans) + TAIL_FRAMES
        longest += -longest % 4  # the tower halves twice
        mels = torch.empty(len(plans), MEL_BINS, longest)
        for row, plan in zip(mels, plans, strict=True):
            row.copy_(prepare(self._choice, self._clips.log_power(plan.index), plan, longest))
        labels = [self._clips.labels[plan.index] for plan in plans]
        head, base = draw_head(self._choice)
        spoken = [[WORDS.index(word) + 1 for word in label.text.split()] if label.words else [] for label in labels]
        return Batch(
            mels=mels,
            frames=torch.tensor([plan.total for plan in plans]),
            head=torch.tensor(self._tokens(head)),
            branches=self._branches(labels, base),
            words=torch.tensor([number for numbers in spoken for number in numbers], dtype=torch.long),
            counts=torch.tensor([len(numbers) for numbers in spoken]),
            captions=torch.tensor([CAPTIONS.index(label.caption) for label in labels]),
            emotions=torch.tensor([list(EMOTIONS).index(label.emotion) for label in labels]),
        )

    def _branches(self, labels: list[Label], base: bool) -> Branches:
        rows: list[list[tuple[int, int, int, int]]] = []
        for label in labels:
            row: list[tuple[int, int, int, int]] = []
            for branch, (task, answer) in enumerate(
                zip(TASKS, (label.text, label.caption, label.emotion), strict=True)
            ):
                prompt = draw_prompt(self._choice, task, base, self._pools[task])
                asked = self._garbled(self._tokens(question(prompt, base)))
                answered = self._tokens(answer + END)
                tokens = asked + answered[:-1]
                targets = [IGNORED] * (len(asked) - 1) + answered
                row += zip(tokens, [branch] * len(tokens), range(len(tokens)), targets, strict=True)
            rows.append(row)
        longest = max(len(row) for row in rows)
        filled = [row + [(0, _PADDING, 0, IGNORED)] * (longest - len(row)) for row in rows]
        return Branches(*torch.tensor(filled).permute(2, 0, 1).contiguous())

    def _garbled(self, question: list[int]) -> list[int]:
        """In one of four questions some tokens become any others: words never seen must not confuse the model."""
        if self._choice.random() >= 0.25:
            return question
        ordinary = self._tokenizer.vocab_size  # special tokens come after these
        return [
            self._choice.randrange(ordinary) if token < ordinary and self._choice.random() < 0.15 else token
            for token in question
        ]

    def _tokens(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer.encode(text)
        return self._known[text]


def layout(batch: Batch, audio_tokens: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The language model's mask, float [clips, 1, row, row] of 0 and -inf, and positions, int64 [clips, row].

    Args:
        batch: gives the head and the branches.
        audio_tokens: int64 [clips], how many the audio of each clip takes.
        longest: how many are in the row for it.
    """
    clips, before = len(audio_tokens), len(batch.head) + longest
    starts = len(batch.head) + audio_tokens[:, None]
    positions = torch.cat([torch.arange(before).expand(clips, -1), starts + batch.branches.place], dim=1)
    branch = torch.cat([torch.full((clips, before), _SHARED), batch.branches.branch], dim=1)
    row = branch.shape[1]
    heard = torch.ones(clips, row, dtype=torch.bool)
    heard[:, len(batch.head) : before] = torch.arange(longest) < audio_tokens[:, None]
    kin = (branch[:, None] == _SHARED) | (branch[:, None] == branch[:, :, None])
    mask = torch.ones(row, row, dtype=torch.bool).tril() & heard[:, None] & kin
    return additive(mask | torch.eye(row, dtype=torch.bool))[:, None], positions
