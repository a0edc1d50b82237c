"""Each branch of a prompt tree sees the tokens and positions that it would have as the only prompt."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.decoding.prompt_tree import NO_LABEL, PADDING, PREFIX, PromptBranch, build_prompt_tree

AUDIO = -7  # in place of an audio token, whose id the tree leaves open
TOKEN = st.integers(1, 99)
TEXT = st.lists(TOKEN, max_size=5).map(tuple)


@st.composite
def batches(draw):
    """Prefix ids, numbers of audio tokens, and rows of branches; a column has the same labels and limit in all rows."""
    clips, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    labels = [
        tuple(draw(st.lists(st.lists(TOKEN, min_size=2, max_size=4).map(tuple), max_size=3))) for _ in range(columns)
    ]
    rows = [[PromptBranch(draw(TEXT), 8, labels[column]) for column in range(columns)] for _ in range(clips)]
    audio_tokens = [draw(st.integers(1, 6)) for _ in range(clips)]
    return draw(st.lists(TOKEN, max_size=4).map(tuple)), audio_tokens, rows


def visible_slots(tree, clip, slot):
    """The earlier slots that a slot sees: the prefix and audio, its own question, and its own label."""
    slot_branch, slot_label = tree.slot_branch[clip], tree.slot_label
    before = np.arange(len(slot_label)) <= slot
    own = (
        (slot_branch == slot_branch[slot])
        & ((slot_label == NO_LABEL) | (slot_label == slot_label[slot]))
        & (slot_branch != PADDING)
    )
    return np.flatnonzero(before & ((slot_branch == PREFIX) | own))


def visible_tokens(tree, clip, audio_length, slot):
    """The token ids that a slot sees, in the order of their positions, which must be 0, 1, 2, ..."""
    slots = visible_slots(tree, clip, slot)
    assert tree.positions[clip, slots].tolist() == list(range(len(slots)))
    audio = range(tree.audio_start, tree.audio_start + audio_length)
    return [AUDIO if slot in audio else int(tree.tokens[clip, slot]) for slot in slots]


@given(batches())
def test_a_question_sees_prefix_audio_and_itself_in_order(batch):
    prefix_ids, audio_tokens, rows = batch
    tree = build_prompt_tree(prefix_ids, audio_tokens, rows)
    for clip, row in enumerate(rows):
        before = [*prefix_ids, *[AUDIO] * audio_tokens[clip]]
        for column, question in enumerate(row):
            last = tree.last[clip, column]
            if not question.tokens:
                assert last == 0
                continue
            assert tree.slot_branch[clip, last] == column and tree.slot_label[last] == NO_LABEL
            assert visible_tokens(tree, clip, audio_tokens[clip], last) == [*before, *question.tokens]


@given(batches())
def test_a_label_also_sees_its_question_but_no_other_label(batch):
    prefix_ids, audio_tokens, rows = batch
    tree = build_prompt_tree(prefix_ids, audio_tokens, rows)
    for clip, row in enumerate(rows):
        before = [*prefix_ids, *[AUDIO] * audio_tokens[clip]]
        for column, question in enumerate(row):
            assert len(tree.label_start[column]) == len(question.labels)
            if not question.tokens:
                continue
            for index, (start, label) in enumerate(zip(tree.label_start[column], question.labels, strict=True)):
                end = start + len(label) - 2  # the end token is predicted, and takes no slot
                assert (tree.slot_branch[clip, end], tree.slot_label[end]) == (column, index)
                assert visible_tokens(tree, clip, audio_tokens[clip], end) == [*before, *question.tokens, *label[:-1]]


@given(batches())
def test_every_slot_belongs_to_the_prefix_or_a_branch_or_is_padding(batch):
    prefix_ids, audio_tokens, rows = batch
    tree = build_prompt_tree(prefix_ids, audio_tokens, rows)
    for clip, row in enumerate(rows):
        slot_branch = tree.slot_branch[clip]
        assert np.flatnonzero(slot_branch == PREFIX).tolist() == list(range(len(prefix_ids) + audio_tokens[clip]))
        for column, question in enumerate(row):
            slots = len(question.tokens) + sum(len(label) - 1 for label in question.labels)
            assert (slot_branch == column).sum() == (slots if question.tokens else 0)
        assert set(slot_branch) <= {PREFIX, PADDING, *range(len(row))}


@given(batches())
def test_label_slots_come_last_so_that_they_can_be_dropped(batch):
    prefix_ids, audio_tokens, rows = batch
    tree = build_prompt_tree(prefix_ids, audio_tokens, rows)
    label_slots = np.flatnonzero(tree.slot_label != NO_LABEL)
    assert label_slots.tolist() == list(range(tree.text_slots, tree.tokens.shape[1]))
    assert tree.last.max() < tree.text_slots


@given(batches())
def test_no_slot_sees_padding_and_all_arrays_have_the_same_shape(batch):
    prefix_ids, audio_tokens, rows = batch
    tree = build_prompt_tree(prefix_ids, audio_tokens, rows)
    assert tree.tokens.shape == tree.positions.shape == tree.slot_branch.shape == (len(rows), len(tree.slot_label))
    assert {array.dtype for array in (tree.tokens, tree.positions, tree.slot_branch, tree.slot_label)} == {
        np.dtype("i8")
    }
    for clip in range(len(rows)):
        for slot in np.flatnonzero(tree.slot_branch[clip] != PADDING):
            assert PADDING not in tree.slot_branch[clip, visible_slots(tree, clip, slot)]


def test_a_small_tree_slot_by_slot():
    rows = [
        [PromptBranch((5, 6), 8), PromptBranch((7,), 8, ((1, 2, 0), (3, 0)))],
        [PromptBranch((), 8), PromptBranch((8, 9), 8, ((1, 2, 0), (3, 0)))],
    ]
    tree = build_prompt_tree((4,), [2, 1], rows)
    # prefix | audio audio | question 0 | question 1 | label 0 | label 1
    assert tree.tokens.tolist() == [[4, 0, 0, 5, 6, 7, 0, 1, 2, 3], [4, 0, 0, 0, 0, 8, 9, 1, 2, 3]]
    assert tree.slot_branch.tolist() == [[-1, -1, -1, 0, 0, 1, -2, 1, 1, 1], [-1, -1, -2, -2, -2, 1, 1, 1, 1, 1]]
    assert tree.positions[0, [0, 1, 2, 3, 4, 5, 7, 8, 9]].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 4]
    assert tree.positions[1, [0, 1, 5, 6, 7, 8, 9]].tolist() == [0, 1, 2, 3, 4, 5, 4]
    assert tree.slot_label.tolist() == [-1] * 7 + [0, 0, 1]
    assert tree.last.tolist() == [[4, 5], [0, 6]]
    assert (tree.label_start, tree.audio_start, tree.text_slots) == (((), (7, 9)), 1, 7)
