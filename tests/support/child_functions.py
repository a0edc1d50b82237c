"""Functions for child processes: they work, crash, hang or raise, as their items say."""

import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from earmark.schemas.errors import RowError


def shout(items: Sequence[str]) -> list[str | RowError]:
    """Upper case of the items; "crash", "kill", "exit" and "hang" end or block the child, "full" raises an error."""
    for item in items:
        if item == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if item == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "exit":
            os._exit(3)
        if item == "hang":
            signal.pause()
        if item == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
    return [RowError("odd", item) if item == "odd" else item.upper() for item in items]


def write_pid_and_hang(paths: Sequence[str]) -> list[str]:
    """Write the process id to the first path, and hang."""
    partial = Path(f"{paths[0]}.partial")
    partial.write_text(str(os.getpid()))
    partial.rename(paths[0])
    signal.pause()
    return []
