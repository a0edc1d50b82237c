"""Texts as one line."""

import re

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # control characters and what breaks lines in Unicode


def one_line(text: str) -> str:
    """A text without line breaks and control characters; spaces that follow each other are one."""
    return " ".join(_BREAKS.sub(" ", text).split())
