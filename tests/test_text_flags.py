import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.text_flags import is_repetitive, is_too_fast

PROSE = "Four score and seven years ago our fathers brought forth on this continent a new nation, conceived in liberty."


@pytest.mark.parametrize("text", ["thank you " * 30, "哈" * 200, "the the the the " * 20, f"{PROSE} " * 3])
def test_a_loop_is_repetitive(text):
    assert is_repetitive(text)


@pytest.mark.parametrize("text", ["", "no", "no no no", PROSE, f"{PROSE} {PROSE}"])
def test_what_people_say_is_not_repetitive(text):
    assert not is_repetitive(text)


@given(st.text(max_size=10))
def test_a_few_letters_are_never_a_loop(text):
    assert not is_repetitive(text)


@pytest.mark.parametrize(
    ("text", "seconds", "too_fast"), [("a" * 40, 1, False), ("a" * 41, 1, True), (PROSE, 1.5, True)]
)
def test_more_than_40_characters_a_second_are_too_fast(text, seconds, too_fast):
    assert is_too_fast(text, seconds) == too_fast
