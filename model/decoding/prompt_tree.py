"""Questions about one piece of audio, laid out so that one forward pass takes them all in.

    head | audio | question 0 | question 1 | question 2 | label a of 2 | label b of 2 | ...

Every question sees head, audio and itself, and counts its positions from the audio's end, as if it were alone; a label
sees its question besides. Labels come last, because what is decoded from questions does not need them any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

PREFIX = -1  # slot_branch of slots that every question sees
PADDING = -2  # slot_branch of padding, which nobody sees
NO_BRANCH = -3  # who asks in a row that asks less than its neighbours
NO_LABEL = -1  # the question itself, not one of its labels


@dataclass(frozen=True, slots=True)
class PromptBranch:
    """Text that follows the audio, as tokens, and how it is answered.

    Attributes:
        tokens: from the audio's end to where the answer begins; empty where nothing is asked.
        max_new_tokens: longest answer, its end token included.
        labels: tokens of each label with the end token; empty where the answer is text.
    """

    tokens: tuple[int, ...]
    max_new_tokens: int
    labels: tuple[tuple[int, ...], ...] = ()


Rows: TypeAlias = Sequence[Sequence[PromptBranch]]  # the branches of each clip, in order


@dataclass(frozen=True, slots=True, eq=False)
class PromptTree:
    """Clips by slots. Integers are int64; a column is a question's place in its row.

    Attributes:
        tokens, positions: (clips, slots); tokens of audio slots mean nothing.
        slot_branch: (clips, slots), PREFIX, PADDING or the column that a slot belongs to.
        slot_label: (slots,), which label of its question a slot belongs to, or NO_LABEL.
        last: (clips, columns), slot of a question's last token; 0 where nothing is asked.
        label_start: for each column, the slots where its labels begin.
        audio_start: slot of the first audio token.
        text_slots: slots before the first label.
    """

    tokens: np.ndarray
    positions: np.ndarray
    slot_branch: np.ndarray
    slot_label: np.ndarray
    last: np.ndarray
    label_start: tuple[tuple[int, ...], ...]
    audio_start: int
    text_slots: int


def build_prompt_tree(prefix_ids: Sequence[int], audio_tokens: Sequence[int], rows: Rows) -> PromptTree:
    """The layout of clips with `audio_tokens` each, all with the same number of questions and labels, in order."""
    audio_start, prefix = len(prefix_ids), len(prefix_ids) + max(audio_tokens)
    starts, text_slots = _places(
        [max(len(row[column].tokens) for row in rows) for column in range(len(rows[0]))], prefix
    )
    label_start, slots = [], text_slots
    for question in rows[0]:
        # The end token is looked for, not shown.
        spots, slots = _places([len(label) - 1 for label in question.labels], slots)
        label_start.append(spots)

    tokens = np.zeros((len(rows), slots), np.int64)
    positions = np.zeros_like(tokens)
    slot_branch = np.full_like(tokens, PADDING)
    last = np.zeros((len(rows), len(starts)), np.int64)
    tokens[:, :audio_start], positions[:, :prefix] = prefix_ids, np.arange(prefix)
    slot_branch[:, :prefix] = np.where(
        np.arange(prefix) < audio_start + np.array(audio_tokens)[:, None], PREFIX, PADDING
    )

    def put(clip: int, column: int, start: int, text: Sequence[int], position: int) -> None:
        place = slice(start, start + len(text))
        tokens[clip, place], slot_branch[clip, place] = text, column
        positions[clip, place] = np.arange(position, position + len(text))

    for clip, (row, heard) in enumerate(zip(rows, audio_tokens, strict=True)):
        for column, question in enumerate(row):
            if not question.tokens:
                continue
            after_audio = audio_start + heard
            put(clip, column, starts[column], question.tokens, after_audio)
            last[clip, column] = starts[column] + len(question.tokens) - 1
            for start, label in zip(label_start[column], question.labels, strict=True):
                put(clip, column, start, label[:-1], after_audio + len(question.tokens))
    return PromptTree(
        tokens,
        positions,
        slot_branch,
        _leaves(label_start, rows[0], slots),
        last,
        tuple(label_start),
        audio_start,
        text_slots,
    )


def _places(widths: Sequence[int], start: int) -> tuple[tuple[int, ...], int]:
    """Where pieces of such widths begin, one behind the other from `start`, and where the last one ends."""
    ends = np.cumsum([start, *widths]).tolist()
    return tuple(ends[:-1]), ends[-1]


def _leaves(label_start: Sequence[Sequence[int]], row: Sequence[PromptBranch], slots: int) -> np.ndarray:
    slot_label = np.full(slots, NO_LABEL, np.int64)
    for spots, question in zip(label_start, row, strict=True):
        for index, (start, label) in enumerate(zip(spots, question.labels, strict=True)):
            slot_label[start : start + len(label) - 1] = index
    return slot_label
