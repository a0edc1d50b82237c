"""Texts of manifests and models in Markdown, escaped so that they are shown as they are."""

import re
from collections.abc import Iterable, Sequence

from earmark.schemas.text import one_line

MAX_CHARACTERS = 600  # of a text on the page
# CommonMark, section 2.4: a backslash escapes any ASCII punctuation, also in table cells (GFM 4.10).
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$]|:(?=//))")


def as_text(value: object) -> str:
    """A value as one line of escaped Markdown."""
    line = one_line(str(value))
    cut = line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + "…"
    return _SPECIAL.sub(r"\\\1", cut)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in GitHub's Markdown, with escaped cells."""
    lines = [names, ["---"] * len(names)]
    cells = [[as_text(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *cells]) + "\n"
