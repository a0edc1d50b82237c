"""Texts of recordings, models and manifests on a terminal, without their control characters."""

import unicodedata

# Controls, formats (which are invisible or change the writing direction), surrogates, line and paragraph separators.
ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
JOINERS = "\u200c\u200d"  # harmless, and part of the spelling of Persian, Indic scripts and emoji


def visible(text: str) -> str:
    r"""`text` with control and invisible characters escaped as in Python: ESC becomes \x1b."""
    return "".join(_escaped(char) if unicodedata.category(char) in ESCAPED else char for char in text)


def _escaped(char: str) -> str:
    return char if char in JOINERS else char.encode("unicode_escape").decode()
