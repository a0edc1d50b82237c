"""A reference above a hypothesis, word by word, to show a person the errors."""

import unicodedata
from collections.abc import Iterator, Sequence

from earmark.scoring.word_errors import alignments

MISSING = "·"  # fills the column of a word that the other line lacks


def aligned(reference: Sequence[str], hypothesis: Sequence[str], width: int = 100) -> list[tuple[str, str]]:
    """Lines of the reference, each with the line of the hypothesis below it.

    A line is at most `width` wide unless one word is wider. Words that differ are in capitals where the script has
    them.
    """
    lines: list[tuple[str, str]] = []
    above = below = ""
    for reference_word, hypothesis_word in _columns(reference, hypothesis):
        column = max(_width(reference_word), _width(hypothesis_word))
        if above and _width(above) + 1 + column > width:
            lines.append((above, below))
            above = below = ""
        space = " " if above else ""
        above += space + reference_word + " " * (column - _width(reference_word))
        below += space + hypothesis_word + " " * (column - _width(hypothesis_word))
    lines.append((above, below))
    return [(above.rstrip(), below.rstrip()) for above, below in lines]


def _columns(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[tuple[str, str]]:
    (chunks,) = alignments([list(reference)], [list(hypothesis)])
    for chunk in chunks:
        expected = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        actual = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "equal":
            yield from zip(expected, actual, strict=True)
        elif chunk.type == "substitute":
            yield from zip(map(str.upper, expected), map(str.upper, actual), strict=True)
        else:
            for word in map(str.upper, expected or actual):
                gap = MISSING * _width(word)
                yield (word, gap) if expected else (gap, word)


def _width(text: str) -> int:
    """Width in columns of a terminal: Chinese characters take two, combining marks none."""
    return sum(_width_of(char) for char in text)


def _width_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
