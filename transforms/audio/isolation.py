"""Calls into code that may crash or hang, in child processes: what kills a child costs one item, not the job."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from earmark.schemas.errors import MachineError, RowError

T = TypeVar("T")
R = TypeVar("R")


_one_at_a_time = threading.Lock()  # functools.cache lets two threads make one pool each


def child_processes(count: int) -> ProcessPool:
    """The pool of `count` children of this process, shared by its threads and ended with it."""
    with _one_at_a_time:
        return _new_pool(count)


@functools.cache
def _new_pool(count: int) -> ProcessPool:
    return ProcessPool(count, initializer=_end_only_with_parent, context=_LightContext())


class _LightProcess(SpawnProcess):
    """A child that does not import its parent's main module: a Beam worker's is 150 MB and 2 s, of no use to it."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802, the name that multiprocessing calls
        main = sys.modules["__main__"]
        named = main.__spec__, getattr(main, "__file__", None)
        main.__spec__ = main.__file__ = None  # multiprocessing tells the child to import what these two name
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            main.__spec__, main.__file__ = named


class _LightContext(SpawnContext):
    Process = _LightProcess


def call_isolated(
    pool: ProcessPool,
    function: Callable[[Sequence[T]], Sequence[R | RowError]],
    chunks: Sequence[Sequence[T]],
    item_timeout_s: float,
) -> Iterator[R | RowError]:
    """`function` of each chunk, in children side by side; the results of all items, in order.

    Where a child dies or takes longer than `item_timeout_s` for each item of its chunk, every one of them is tried once
    more alone; the one that does it again is a RowError. What `function` raises is raised here.

    Raises:
        MachineError: a child was killed from outside, also alone: memory has run out.
    """
    futures = [pool.schedule(function, args=[chunk], timeout=item_timeout_s * len(chunk)) for chunk in chunks]
    try:
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                yield from future.result()
            except (ProcessExpired, TimeoutError):
                for item in chunk:
                    yield _call_alone(pool, function, item, item_timeout_s)
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
        if error.exitcode == -signal.SIGKILL:  # a file cannot do that; the kernel does it when there is no memory left
            raise MachineError(
                "a decoding process was killed, also alone: this machine has too little memory; "
                "give fewer --decode_processes or less --shard_memory_mb"
            ) from error
        how = f"signal {-error.exitcode}" if error.exitcode < 0 else f"status {error.exitcode}"
        return RowError("crashed", f"decoding ended the process ({how}), also alone; the file is damaged or hostile")
    except TimeoutError:
        return RowError(
            "timeout", f"not fetched and decoded within {timeout_s:g} s, also alone; see --recording_timeout_s"
        )


def _end_only_with_parent() -> None:
    """A child does not outlive the process that started it, however that one ended, even in the middle of a call.

    Nor does it end before: of SIGTERM, which systemd and Slurm send to every process of a job, it heeds only the
    parent's. The pool would break with a child that goes while it waits for work.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in children only
    if sys.platform == "linux":  # elsewhere nobody can tell who has sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in all threads that start from here on
        threading.Thread(target=_end_when_told_by, args=(parent.pid,), daemon=True).start()

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _end_when_told_by(pid: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != pid:
        pass
    os._exit(1)
