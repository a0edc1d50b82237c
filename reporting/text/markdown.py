"""Texts of manifests and models within Markdown, where they are shown as they are and mean nothing."""

import re
from collections.abc import Iterable, Sequence

from earmark.schemas.text import one_line

MAX_CHARACTERS = 600  # of a text within a page
# CommonMark, section 2.4: a backslash makes any ASCII punctuation a plain character, in a table's cell too (GFM 4.10).
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$]|:(?=//))")


def as_text(value: object) -> str:
    """A value as one line of Markdown that shows what it is."""
    line = one_line(str(value))
    cut = line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + "…"
    return _SPECIAL.sub(r"\\\1", cut)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of GitHub's Markdown; its cells are texts."""
    lines = [names, ["---"] * len(names)]
    shown = [[as_text(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *shown]) + "\n"
