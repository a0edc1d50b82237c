"""The blocks of code in the pages for people, and what a test may do with each line of them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

from tests.support.paths import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "BENCHMARKS.md"]
PAGES += [str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("**/*.md"))]
PAGES += [str(page.relative_to(ROOT)) for page in sorted((ROOT / "examples").glob("*/README.md"))]


@dataclass(frozen=True)
class Block:
    """A block of code; `language` is "" where nothing says what it is, `title` the file that it is to be put into."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """Fenced and indented blocks, those within lists too."""
    return [
        Block(page, token.map[0] + 1, *_information(token.info), token.content)
        for token in MarkdownIt("commonmark").parse((ROOT / page).read_text(encoding="utf-8"))
        if token.type in ("fence", "code_block") and token.map
    ]


def _information(info: str) -> tuple[str, str]:
    title = re.search(r'title="([^"]+)"', info)
    return info.partition(" ")[0], title[1] if title else ""


def shell_lines(text: str) -> Iterator[list[str]]:
    """The words of each command of a script; what a line goes on to after a pipe or && stays with it."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words
