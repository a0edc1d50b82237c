"""Batches with all three tasks of each clip in one row.

A row is prefix | audio | three branches, each a question with its answer. A mask lets a branch attend to the prefix,
the audio and itself, and positions restart for each branch. So the audio is encoded once, and each branch gets the
result that it would get alone.
"""

import random
from dataclasses import dataclass

import torch
from augment import Plan, prepare
from corpus import CAPTIONS, EMOTIONS, WORDS
from log_mel import MEL_BINS, TAIL_FRAMES
from prompts import TASKS, draw_prefix, draw_prompt, paraphrases, question
from tiny_model import END, additive
from training_set import Label, TrainingSet
from transformers import Qwen2Tokenizer

IGNORED = -100  # target of tokens without a loss, as cross_entropy defines it
_SHARED, _PADDING = -1, -2  # branch numbers of prefix and audio, and of padding


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Tokens after the audio, each int64 [clips, longest].

    Attributes:
        tokens: Token ids.
        branch: Number of the branch.
        offset: Position after the audio.
        target: Id of the next token, or IGNORED.
    """

    tokens: torch.Tensor
    branch: torch.Tensor
    offset: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs and targets of a training step.

    Attributes:
        mels: float32 [clips, MEL_BINS, longest].
        frames: int64 [clips].
        prefix: Token ids before the audio, int64 [tokens].
        branches: Tokens after the audio.
        words: CTC targets, the indices of the spoken words from 1, of all clips in one tensor.
        word_counts: Number of words of each clip, int64 [clips].
        captions: Indices into CAPTIONS, int64 [clips].
        emotions: Indices into EMOTIONS, int64 [clips].
    """

    mels: torch.Tensor
    frames: torch.Tensor
    prefix: torch.Tensor
    branches: Branches
    words: torch.Tensor
    word_counts: torch.Tensor
    captions: torch.Tensor
    emotions: torch.Tensor


class Packer:
    """Makes batches from plans, with one random generator for every draw."""

    def __init__(self, clips: TrainingSet, tokenizer: Qwen2Tokenizer, choice: random.Random) -> None:
        self._clips = clips
        self._tokenizer = tokenizer
        self._choice = choice
        self._pools = {task: paraphrases(task) for task in TASKS}
        self._encoded: dict[str, list[int]] = {}

    def batch(self, plans: list[Plan]) -> Batch:
        longest = max(plan.total for plan in plans) + TAIL_FRAMES
        longest += -longest % 4  # the tower halves twice
        mels = torch.empty(len(plans), MEL_BINS, longest)
        for row, plan in zip(mels, plans, strict=True):
            row.copy_(prepare(self._choice, self._clips.log_power(plan.index), plan, longest))
        labels = [self._clips.labels[plan.index] for plan in plans]
        prefix, base = draw_prefix(self._choice)
        word_numbers = [
            [WORDS.index(word) + 1 for word in label.text.split()] if label.words else [] for label in labels
        ]
        return Batch(
            mels=mels,
            frames=torch.tensor([plan.total for plan in plans]),
            prefix=torch.tensor(self._tokens(prefix)),
            branches=self._branches(labels, base),
            words=torch.tensor([number for numbers in word_numbers for number in numbers], dtype=torch.long),
            word_counts=torch.tensor([len(numbers) for numbers in word_numbers]),
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
                prompt_ids = self._garbled(self._tokens(question(prompt, base)))
                answer_ids = self._tokens(answer + END)
                tokens = prompt_ids + answer_ids[:-1]
                targets = [IGNORED] * (len(prompt_ids) - 1) + answer_ids
                row += zip(tokens, [branch] * len(tokens), range(len(tokens)), targets, strict=True)
            rows.append(row)
        longest = max(len(row) for row in rows)
        filled = [row + [(0, _PADDING, 0, IGNORED)] * (longest - len(row)) for row in rows]
        return Branches(*torch.tensor(filled).permute(2, 0, 1).contiguous())

    def _garbled(self, question: list[int]) -> list[int]:
        """Replace some tokens of one question in four at random, so that unknown words do not confuse the model."""
        if self._choice.random() >= 0.25:
            return question
        ordinary = self._tokenizer.vocab_size  # special tokens come after these
        return [
            self._choice.randrange(ordinary) if token < ordinary and self._choice.random() < 0.15 else token
            for token in question
        ]

    def _tokens(self, text: str) -> list[int]:
        if text not in self._encoded:
            self._encoded[text] = self._tokenizer.encode(text)
        return self._encoded[text]


def layout(batch: Batch, audio_tokens: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the language model's mask, float [clips, 1, row, row] of 0 and -inf, and positions, int64 [clips, row].

    Args:
        audio_tokens: Number of audio tokens of each clip, int64 [clips].
        longest: Number of audio slots in a row.
    """
    clips, before = len(audio_tokens), len(batch.prefix) + longest
    starts = len(batch.prefix) + audio_tokens[:, None]
    positions = torch.cat([torch.arange(before).expand(clips, -1), starts + batch.branches.offset], dim=1)
    branch = torch.cat([torch.full((clips, before), _SHARED), batch.branches.branch], dim=1)
    row = branch.shape[1]
    is_token = torch.ones(clips, row, dtype=torch.bool)
    is_token[:, len(batch.prefix) : before] = torch.arange(longest) < audio_tokens[:, None]
    is_visible = (branch[:, None] == _SHARED) | (branch[:, None] == branch[:, :, None])
    mask = torch.ones(row, row, dtype=torch.bool).tril() & is_token[:, None] & is_visible
    return additive(mask | torch.eye(row, dtype=torch.bool))[:, None], positions
