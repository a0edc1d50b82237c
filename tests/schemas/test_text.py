"""Texts of messages: one line of each error, lists that stay short, counts that agree with their noun."""

import pytest

from earmark.schemas.text import counted, error_message, error_with_type, join_some, one_line


def test_a_text_becomes_one_line_without_control_characters():
    assert one_line(" a\r\n b\t\x1b[31m\u2028c ") == "a b [31m c"


@pytest.mark.parametrize(
    ("error", "message", "with_type"),
    [
        (ValueError("bad\n  header"), "bad header", "ValueError: bad header"),
        (TimeoutError(), "TimeoutError", "TimeoutError"),
    ],
)
def test_an_error_of_another_library_becomes_one_line(error, message, with_type):
    assert error_message(error) == message
    assert error_with_type(error) == with_type


@pytest.mark.parametrize(
    ("names", "total", "text"),
    [
        ([], 0, ""),
        (["a", "b"], 0, "a, b"),
        (["a", "b", "c"], 0, "a, b and 1 more"),
        (["a", "b"], 9, "a, b and 7 more"),
        (["a"], 2000, "a and 1,999 more"),
    ],
)
def test_a_long_list_is_cut_and_the_others_are_counted(names, total, text):
    assert join_some(names, 2, total) == text


def test_a_count_agrees_with_its_noun():
    assert [counted(number, "file") for number in (0, 1, 2, 1000)] == ["0 files", "1 file", "2 files", "1,000 files"]
    assert [counted(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]
