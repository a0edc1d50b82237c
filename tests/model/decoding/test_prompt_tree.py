"""Each question of a layout sees what it would see alone; who sees what is worked out from the layout's own words."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.decoding.prompt_tree import NO_LABEL, PADDING, PREFIX, PromptBranch, build_prompt_tree

AUDIO = -7  # stands for a token of the audio, which a layout leaves open
TOKEN = st.integers(1, 99)
TEXT = st.lists(TOKEN, max_size=5).map(tuple)


@st.composite
def batches(draw):
    """Head, audio lengths, and rows of questions: in a column, all rows have the same labels and limit."""
    clips, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    labels = [
        tuple(draw(st.lists(st.lists(TOKEN, min_size=2, max_size=4).map(tuple), max_size=3))) for _ in range(columns)
    ]
    rows = [[PromptBranch(draw(TEXT), 8, labels[column]) for column in range(columns)] for _ in range(clips)]
    heard = [draw(st.integers(1, 6)) for _ in range(clips)]
    return draw(st.lists(TOKEN, max_size=4).map(tuple)), heard, rows


def seen_from(layout, clip, slot):
    """Slots that a slot sees: those before it that are everyone's, or of its question's trunk, or of its own label."""
    slot_branch, slot_label = layout.slot_branch[clip], layout.slot_label
    before = np.arange(len(slot_label)) <= slot
    mine = (
        (slot_branch == slot_branch[slot])
        & ((slot_label == NO_LABEL) | (slot_label == slot_label[slot]))
        & (slot_branch != PADDING)
    )
    return np.flatnonzero(before & ((slot_branch == PREFIX) | mine))


def read(layout, clip, heard, slot):
    """The tokens that a slot sees, by their positions, which have to be 0, 1, 2, ..."""
    slots = seen_from(layout, clip, slot)
    assert layout.positions[clip, slots].tolist() == list(range(len(slots)))
    audio = range(layout.audio_start, layout.audio_start + heard)
    return [AUDIO if slot in audio else int(layout.tokens[clip, slot]) for slot in slots]


@given(batches())
def test_a_question_sees_head_audio_and_itself_in_order_and_nothing_else(batch):
    head, heard, rows = batch
    layout = build_prompt_tree(head, heard, rows)
    for clip, row in enumerate(rows):
        before = [*head, *[AUDIO] * heard[clip]]
        for column, question in enumerate(row):
            last = layout.last[clip, column]
            if not question.tokens:
                assert last == 0
                continue
            assert layout.slot_branch[clip, last] == column and layout.slot_label[last] == NO_LABEL
            assert read(layout, clip, heard[clip], last) == [*before, *question.tokens]


@given(batches())
def test_a_label_sees_its_question_besides_and_no_other_label(batch):
    head, heard, rows = batch
    layout = build_prompt_tree(head, heard, rows)
    for clip, row in enumerate(rows):
        before = [*head, *[AUDIO] * heard[clip]]
        for column, question in enumerate(row):
            assert len(layout.label_start[column]) == len(question.labels)
            if not question.tokens:
                continue
            for index, (start, label) in enumerate(zip(layout.label_start[column], question.labels, strict=True)):
                end = start + len(label) - 2  # the end token is looked for, not shown
                assert (layout.slot_branch[clip, end], layout.slot_label[end]) == (column, index)
                assert read(layout, clip, heard[clip], end) == [*before, *question.tokens, *label[:-1]]


@given(batches())
def test_every_slot_is_the_head_s_the_audio_s_or_a_question_s_and_the_rest_is_hidden(batch):
    head, heard, rows = batch
    layout = build_prompt_tree(head, heard, rows)
    for clip, row in enumerate(rows):
        slot_branch = layout.slot_branch[clip]
        assert np.flatnonzero(slot_branch == PREFIX).tolist() == list(range(len(head) + heard[clip]))
        for column, question in enumerate(row):
            shown = len(question.tokens) + sum(len(label) - 1 for label in question.labels)
            assert (slot_branch == column).sum() == (shown if question.tokens else 0)
        assert set(slot_branch) <= {PREFIX, PADDING, *range(len(row))}


@given(batches())
def test_labels_lie_behind_all_text_so_that_they_can_be_let_go(batch):
    head, heard, rows = batch
    layout = build_prompt_tree(head, heard, rows)
    of_labels = np.flatnonzero(layout.slot_label != NO_LABEL)
    assert of_labels.tolist() == list(range(layout.text_slots, layout.tokens.shape[1]))
    assert layout.last.max() < layout.text_slots


@given(batches())
def test_no_slot_sees_hidden_ones_or_is_out_of_its_arrays(batch):
    head, heard, rows = batch
    layout = build_prompt_tree(head, heard, rows)
    assert (
        layout.tokens.shape == layout.positions.shape == layout.slot_branch.shape == (len(rows), len(layout.slot_label))
    )
    assert {array.dtype for array in (layout.tokens, layout.positions, layout.slot_branch, layout.slot_label)} == {
        np.dtype("i8")
    }
    for clip in range(len(rows)):
        for slot in np.flatnonzero(layout.slot_branch[clip] != PADDING):
            assert PADDING not in layout.slot_branch[clip, seen_from(layout, clip, slot)]


def test_a_layout_written_out():
    rows = [
        [PromptBranch((5, 6), 8), PromptBranch((7,), 8, ((1, 2, 0), (3, 0)))],
        [PromptBranch((), 8), PromptBranch((8, 9), 8, ((1, 2, 0), (3, 0)))],
    ]
    layout = build_prompt_tree((4,), [2, 1], rows)
    # head | audio audio | question 0 | question 1 | label 0 | label 1
    assert layout.tokens.tolist() == [[4, 0, 0, 5, 6, 7, 0, 1, 2, 3], [4, 0, 0, 0, 0, 8, 9, 1, 2, 3]]
    assert layout.slot_branch.tolist() == [[-1, -1, -1, 0, 0, 1, -2, 1, 1, 1], [-1, -1, -2, -2, -2, 1, 1, 1, 1, 1]]
    assert layout.positions[0, [0, 1, 2, 3, 4, 5, 7, 8, 9]].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 4]
    assert layout.positions[1, [0, 1, 5, 6, 7, 8, 9]].tolist() == [0, 1, 2, 3, 4, 5, 4]
    assert layout.slot_label.tolist() == [-1] * 7 + [0, 0, 1]
    assert layout.last.tolist() == [[4, 5], [0, 6]]
    assert (layout.label_start, layout.audio_start, layout.text_slots) == (((), (7, 9)), 1, 7)
