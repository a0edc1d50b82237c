"""Calls into code that may crash or hang, in child processes: what kills a child costs one item, not the job."""

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from schemas.errors import RowError

T = TypeVar("T")
R = TypeVar("R")


@functools.cache
def child_processes(count: int) -> ProcessPool:
    """The pool of `count` children of this process, shared by its threads and ended with it."""
    return ProcessPool(count, initializer=_end_with_parent, context=multiprocessing.get_context("spawn"))


def call_isolated(
    pool: ProcessPool,
    function: Callable[[Sequence[T]], Sequence[R | RowError]],
    chunks: Sequence[Sequence[T]],
    timeout_s: float,
) -> Iterator[R | RowError]:
    """`function` of each chunk, in children side by side; the results of all items, in order.

    Where a child dies or takes longer than `timeout_s`, each item of its chunk is tried once more alone; the one that
    does it again is a RowError. What `function` raises is raised here.
    """
    futures = [pool.schedule(function, args=[chunk], timeout=timeout_s) for chunk in chunks]
    try:
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                yield from future.result()
            except (ProcessExpired, TimeoutError):
                for item in chunk:
                    yield _call_alone(pool, function, item, timeout_s)
    finally:
        for future in futures:
            future.cancel()


def _call_alone(
    pool: ProcessPool, function: Callable[[Sequence[T]], Sequence[R | RowError]], item: T, timeout_s: float
) -> R | RowError:
    try:
        results: Sequence[R | RowError] = pool.schedule(function, args=[[item]], timeout=timeout_s).result()
        return results[0]
    except ProcessExpired as error:
        how = f"signal {-error.exitcode}" if error.exitcode < 0 else f"status {error.exitcode}"
        return RowError("crashed", f"decoding ended the process ({how}), also alone; the file is damaged or hostile")
    except TimeoutError:
        return RowError("timeout", f"not decoded within {timeout_s:g} s, also alone; see --recording_timeout_s")


def _end_with_parent() -> None:
    """A child does not outlive the process that started it, however that one ended, even in the middle of a call."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in children only

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
