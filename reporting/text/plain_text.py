"""Texts of recordings, models and manifests on a terminal: they may hold anything, and must not steer it."""

import unicodedata

# Controls, formats (which turn the direction of writing, or are not to be seen), ends of lines and of paragraphs.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
JOINERS = "\u200c\u200d"  # between letters of Persian and of India's scripts, and in emoji; they do nothing else


def visible(text: str) -> str:
    r"""`text` with all that a terminal would obey, or nobody would see, spelled out as Python does: ESC is \x1b."""
    return "".join(_spelled(char) if unicodedata.category(char) in UNSEEN else char for char in text)


def _spelled(char: str) -> str:
    return char if char in JOINERS else char.encode("unicode_escape").decode()
