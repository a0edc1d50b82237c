"""Runs code that may crash or hang in child processes, so that an item that kills a child fails alone."""

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


_pool_lock = threading.Lock()  # without it, functools.cache lets two threads make two pools


def child_processes(count: int) -> ProcessPool:
    """Return the pool of `count` child processes, shared by the threads of this process and ended with it."""
    with _pool_lock:
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
    """Call `function` on each chunk, in parallel child processes, and yield the results of all items in order.

    If a child dies, or takes longer than `item_timeout_s` per item of its chunk, each item of the chunk is tried once
    more, alone; an item that fails again becomes a RowError. Errors that `function` raises are raised here.

    Raises:
        MachineError: A child with a single item was killed from outside: memory has run out.
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
        if error.exitcode == -signal.SIGKILL:  # a file cannot cause this; the kernel does, when memory runs out
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
    """End this child when its parent ends, however that happens, even during a call, and not before.

    systemd and Slurm send SIGTERM to every process of a job. A child obeys only its parent's, as the pool would break
    if a child ended while it waits for work.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in children only
    if sys.platform == "linux":  # elsewhere the sender of a signal is unknown
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in all threads that start from here on
        threading.Thread(target=_end_on_signal_of, args=(parent.pid,), daemon=True).start()

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _end_on_signal_of(pid: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != pid:
        pass
    os._exit(1)
