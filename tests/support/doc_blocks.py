"""The code blocks of README, docs and examples, and the commands in their scripts."""

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
    """A code block; `language` is "" if it has none, `title` the name of the file that the block becomes, or ""."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def location(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """Fenced and indented blocks, also inside lists."""
    return [
        Block(page, token.map[0] + 1, *_information(token.info), token.content)
        for token in MarkdownIt("commonmark").parse((ROOT / page).read_text(encoding="utf-8"))
        if token.type in ("fence", "code_block") and token.map
    ]


def _information(info: str) -> tuple[str, str]:
    title = re.search(r'title="([^"]+)"', info)
    return info.partition(" ")[0], title[1] if title else ""


def shell_lines(text: str) -> Iterator[list[str]]:
    """The arguments of each command of a script; everything after a pipe or && stays with its line."""
    for line in text.replace("\\\n", " ").splitlines():
        if command := shlex.split(line, comments=True):
            yield command
