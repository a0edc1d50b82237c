"""Short texts for messages: one line of any text, errors of other libraries, lists of names, counts with their noun."""

import re
from collections.abc import Sequence

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # control characters and what breaks lines in Unicode


def one_line(text: str) -> str:
    """`text` without line breaks and control characters; spaces that follow each other become one."""
    return " ".join(_BREAKS.sub(" ", text).split())


def error_message(error: BaseException) -> str:
    """The message of another library's error in one line, or the name of its class where the message is empty."""
    return one_line(str(error)) or type(error).__name__


def error_with_type(error: BaseException) -> str:
    """As `error_message`, with the class before it: "ValueError: bad header"."""
    return f"{type(error).__name__}: {one_line(str(error))}".removesuffix(": ")


def join_some(names: Sequence[str], limit: int, total: int = 0) -> str:
    """The first `limit` names and the number of the others: "a, b, c and 7 more".

    Args:
        names: Names to join: all, or only the first.
        limit: Number of names that are spelled out.
        total: Number of all names, where `names` holds only the first.
    """
    others = max(total, len(names)) - min(limit, len(names))
    return ", ".join(names[:limit]) + (f" and {others:,} more" if others else "")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A count with its noun: "1 file", "2 files", "1,000 files".

    Args:
        plural: Plural of `noun`, where it is not `noun` with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
