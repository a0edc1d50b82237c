"""Flags on texts that a model is likely to have made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.segments.text_flags import answer_flags, is_repetitive, is_too_fast, spoken_flags
from earmark.schemas.job import JobOptions

PROSE = "Four score and seven years ago our fathers brought forth on this continent a new nation, conceived in liberty."


@pytest.mark.parametrize("text", ["thank you " * 30, "哈" * 200, "the the the the " * 20, f"{PROSE} " * 3])
def test_a_loop_is_repetitive(text):
    assert is_repetitive(text)


@pytest.mark.parametrize("text", ["", "no", "no no no", PROSE, f"{PROSE} {PROSE}"])
def test_ordinary_speech_is_not_flagged_as_repetition(text):
    assert not is_repetitive(text)


@given(st.text(max_size=10))
def test_a_few_letters_are_never_a_loop(text):
    assert not is_repetitive(text)


@pytest.mark.parametrize(
    ("text", "seconds", "too_fast"), [("a" * 40, 1, False), ("a" * 41, 1, True), (PROSE, 1.5, True)]
)
def test_more_than_40_characters_a_second_are_too_fast(text, seconds, too_fast):
    assert is_too_fast(text, seconds) == too_fast


@pytest.mark.parametrize(
    ("text", "truncated", "of_speech", "of_caption"),
    [
        (PROSE, False, {"too_fast"}, set()),
        ("thank you " * 30, True, {"too_fast", "repetition", "truncated"}, {"repetition", "truncated"}),
        ("", False, {"empty"}, {"empty"}),
        ("no", False, set(), set()),
    ],
)
def test_only_text_of_speech_can_be_too_fast(text, truncated, of_speech, of_caption):
    transcribe, caption = JobOptions(task=("transcribe", "caption")).tasks()
    assert answer_flags(transcribe, text, 1.5, truncated) == of_speech
    assert answer_flags(caption, text, 1.5, truncated) == of_caption
    assert spoken_flags(text, 1.5, truncated) == of_speech - {"empty"}
