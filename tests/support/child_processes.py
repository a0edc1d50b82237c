"""Counts the child processes that this process starts."""

import multiprocessing.util
import sys
from typing import Any

_started = 0


def children_started() -> int:
    """Number of child processes started since `watch_children` was called."""
    return _started


def watch_children() -> None:
    """Start counting. It cannot be undone: Python has no way to remove an audit hook."""
    sys.addaudithook(_count_event)
    spawn = multiprocessing.util.spawnv_passfds  # type: ignore[attr-defined]

    def counting_spawn(*arguments: Any) -> Any:
        _count()
        return spawn(*arguments)

    # multiprocessing starts its children without an audit event.
    multiprocessing.util.spawnv_passfds = counting_spawn  # type: ignore[attr-defined]


def _count_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        _count()


def _count() -> None:
    global _started
    _started += 1
