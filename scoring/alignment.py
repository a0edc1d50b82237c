"""A reference above a hypothesis, word for word, so that a person sees what went wrong."""

import unicodedata
from collections.abc import Iterator, Sequence

from earmark.scoring.word_errors import alignments

MISSING = "·"  # stands where one of the two has no word


def aligned(reference: Sequence[str], hypothesis: Sequence[str], width: int = 100) -> list[tuple[str, str]]:
    """Lines of the reference and of the hypothesis below it, each at most `width` wide unless one word is wider.

    Words that differ are in capitals where the script has them.
    """
    lines: list[tuple[str, str]] = []
    above = below = ""
    for one, other in _columns(reference, hypothesis):
        column = max(_width(one), _width(other))
        if above and _width(above) + 1 + column > width:
            lines.append((above, below))
            above = below = ""
        space = " " if above else ""
        above += space + one + " " * (column - _width(one))
        below += space + other + " " * (column - _width(other))
    lines.append((above, below))
    return [(one.rstrip(), other.rstrip()) for one, other in lines]


def _columns(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[tuple[str, str]]:
    (chunks,) = alignments([list(reference)], [list(hypothesis)])
    for chunk in chunks:
        one = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        other = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "equal":
            yield from zip(one, other, strict=True)
        elif chunk.type == "substitute":
            yield from zip(map(str.upper, one), map(str.upper, other), strict=True)
        else:
            for word in map(str.upper, one or other):
                gap = MISSING * _width(word)
                yield (word, gap) if one else (gap, word)


def _width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two, marks on another character none."""
    return sum(_width_of(char) for char in text)


def _width_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
