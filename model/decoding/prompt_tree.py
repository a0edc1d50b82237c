"""The prompt tree: several questions about one piece of audio, laid out as branches of one sequence.

    prefix | audio | question 0 | question 1 | question 2 | label a of 2 | label b of 2 | ...

One prefill covers all of it. A question's branch sees the prefix, the audio and itself, and its positions count on from
the audio's end, as if it were the only question; a label also sees its own question. Labels come last, because decoding
does not need their slots. Only numpy: model/decoding/prefix_decoder.py turns the layout into an attention mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

PREFIX = -1  # slot_branch of slots that every branch sees
PADDING = -2  # slot_branch of slots that no branch sees
NO_BRANCH = -3  # branch of an unused column, in a row with fewer open answers than its neighbours
NO_LABEL = -1  # slot_label of slots that belong to the question itself


@dataclass(frozen=True, slots=True)
class PromptBranch:
    """One question: the prompt that follows the audio, and the limits of its answer.

    Attributes:
        tokens: Token ids from the audio's end to where the answer begins; empty if the clip lacks the question.
        max_new_tokens: Maximum number of tokens of the answer, including the end token.
        labels: Token ids of each label, including the end token; empty if the answer is free text.
    """

    tokens: tuple[int, ...]
    max_new_tokens: int
    labels: tuple[tuple[int, ...], ...] = ()


Rows: TypeAlias = Sequence[Sequence[PromptBranch]]  # the branches of each clip, in the order of the columns


@dataclass(frozen=True, slots=True, eq=False)
class PromptTree:
    """Layout of a batch: one row for each clip, one slot for each token. Integers are int64.

    A branch is named by its column, the index of its question in the clip's row.

    Attributes:
        tokens: Token ids, (clips, slots); arbitrary in the slots of the audio.
        positions: Position ids, (clips, slots).
        slot_branch: Branch that each slot belongs to, PREFIX or PADDING, (clips, slots).
        slot_label: Index of the label that each slot belongs to, or NO_LABEL, (slots,).
        last: Slot of each question's last token, 0 if the clip lacks the question, (clips, columns).
        label_start: First slot of each label, for each column.
        audio_start: Slot of the first audio token.
        text_slots: Number of slots before the first label.
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
    """Lay out a batch of clips.

    Args:
        prefix_ids: Token ids before the audio, the same for all clips.
        audio_tokens: Number of audio tokens of each clip.
        rows: Branches of each clip; all rows have the same number of columns, and the same labels in a column.
    """
    audio_start, prefix_slots = len(prefix_ids), len(prefix_ids) + max(audio_tokens)
    starts, text_slots = _consecutive(
        [max(len(row[column].tokens) for row in rows) for column in range(len(rows[0]))], prefix_slots
    )
    label_start, slots = [], text_slots
    for question in rows[0]:
        # A label's last token is only predicted, so it takes no slot.
        label_starts, slots = _consecutive([len(label) - 1 for label in question.labels], slots)
        label_start.append(label_starts)

    tokens = np.zeros((len(rows), slots), np.int64)
    positions = np.zeros_like(tokens)
    slot_branch = np.full_like(tokens, PADDING)
    last = np.zeros((len(rows), len(starts)), np.int64)
    tokens[:, :audio_start], positions[:, :prefix_slots] = prefix_ids, np.arange(prefix_slots)
    slot_branch[:, :prefix_slots] = np.where(
        np.arange(prefix_slots) < audio_start + np.array(audio_tokens)[:, None], PREFIX, PADDING
    )

    def put(clip: int, column: int, start: int, ids: Sequence[int], position: int) -> None:
        span = slice(start, start + len(ids))
        tokens[clip, span], slot_branch[clip, span] = ids, column
        positions[clip, span] = np.arange(position, position + len(ids))

    for clip, (row, audio_length) in enumerate(zip(rows, audio_tokens, strict=True)):
        for column, question in enumerate(row):
            if not question.tokens:
                continue
            after_audio = audio_start + audio_length
            put(clip, column, starts[column], question.tokens, after_audio)
            last[clip, column] = starts[column] + len(question.tokens) - 1
            for start, label in zip(label_start[column], question.labels, strict=True):
                put(clip, column, start, label[:-1], after_audio + len(question.tokens))
    return PromptTree(
        tokens,
        positions,
        slot_branch,
        _slot_labels(label_start, rows[0], slots),
        last,
        tuple(label_start),
        audio_start,
        text_slots,
    )


def _consecutive(widths: Sequence[int], start: int) -> tuple[tuple[int, ...], int]:
    """Return the start of each of several adjacent spans of these widths, and the end of the last one."""
    ends = np.cumsum([start, *widths]).tolist()
    return tuple(ends[:-1]), ends[-1]


def _slot_labels(label_start: Sequence[Sequence[int]], row: Sequence[PromptBranch], slots: int) -> np.ndarray:
    slot_label = np.full(slots, NO_LABEL, np.int64)
    for starts, question in zip(label_start, row, strict=True):
        for index, (start, label) in enumerate(zip(starts, question.labels, strict=True)):
            slot_label[start : start + len(label) - 1] = index
    return slot_label
