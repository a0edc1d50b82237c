"""Where commands print what a person reads: rich's colours on a terminal, plain whole lines in a pipe or a file.

NO_COLOR and FORCE_COLOR do what they do in other programs; rich reads them. Imports nothing heavy.
"""

import sys

from rich.console import Console
from rich.markup import escape

from earmark.reporting.text.plain_text import visible

PIPED_WIDTH = 10_000  # columns: no line is broken and no cell is cut that a program or a log reads


def new_console(stderr: bool = False) -> Console:
    """A console that is as wide as its terminal, and has no edge where there is none."""
    return Console(stderr=stderr, width=None if is_terminal(stderr) else PIPED_WIDTH)


def is_terminal(stderr: bool = False) -> bool:
    """Whether somebody is looking; colours that FORCE_COLOR asks for in a log are no reason to draw a bar there."""
    stream = sys.stderr if stderr else sys.stdout
    return stream is not None and stream.isatty()


console = new_console()
errors = new_console(stderr=True)


def plain(text: str) -> str:
    """A text of a manifest, a recording or a model for a table of rich: nothing in it steers rich or the terminal."""
    return escape(visible(text))


def say(text: str) -> None:
    """Prints a line for a person, whatever texts of manifests and models are in it."""
    console.print(plain(text), soft_wrap=True, highlight=False)
