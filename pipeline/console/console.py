"""Consoles for readable output: colours on a terminal, plain unwrapped lines in a pipe or file.

rich reads NO_COLOR and FORCE_COLOR. Imports nothing heavy.
"""

import sys

from rich.console import Console
from rich.markup import escape

from earmark.reporting.text.plain_text import visible

PIPED_WIDTH = 10_000  # columns: programs and logs get lines unwrapped and cells uncut


def new_console(stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or PIPED_WIDTH columns wide without one."""
    return Console(stderr=stderr, width=None if is_terminal(stderr) else PIPED_WIDTH)


def is_terminal(stderr: bool = False) -> bool:
    """Whether the stream is a terminal; FORCE_COLOR in a log does not make it one, so no bar is drawn there."""
    stream = sys.stderr if stderr else sys.stdout
    return stream is not None and stream.isatty()


console = new_console()
errors = new_console(stderr=True)


def plain(text: str) -> str:
    """Escape a text of a manifest, recording or model for rich: it is neither markup nor terminal control."""
    return escape(visible(text))


def say(text: str) -> None:
    """Print a line that may quote texts of manifests and models."""
    console.print(plain(text), soft_wrap=True, highlight=False)
