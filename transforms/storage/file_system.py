"""File systems with one class of errors, timeouts at the first use, and listings that are complete or fail."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from earmark.model.checkpoints.retry import is_forbidden
from earmark.schemas.errors import JobError
from earmark.schemas.text import error_message

ANSWER_S = 20.0  # without a network or credentials, clients keep trying for a minute and more
T = TypeVar("T")


class StorageError(OSError):
    """An operation on a file system failed, for any reason."""


@contextlib.contextmanager
def wrap_storage_errors() -> Iterator[None]:
    """Turn every error of a file system, and of fsspec for an unknown URL, into a StorageError.

    Their classes have nothing in common: those of gcsfs, google.auth and botocore are not OSErrors. FileNotFoundError
    and FileExistsError are answers, and are passed on.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageError, JobError):
        raise
    except Exception as error:
        reason = error_message(error)
        raise StorageError(f"no permission ({reason})" if is_forbidden(error) else reason) from error


def call_with_timeout(operation: Callable[[], T]) -> T:
    """Return or raise what `operation`, the first use of a file system, returns or raises.

    Raises:
        StorageError: It has not ended within ANSWER_S.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(operation())
        except Exception as error:  # raised in the thread that waits
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(ANSWER_S)
    except TimeoutError as error:
        if answer.done():  # raised by `operation` itself
            raise
        raise StorageError(f"no answer within {ANSWER_S:g} s; check the network and your credentials") from error


def stat_or_none(file_system: fsspec.AbstractFileSystem, path: str) -> dict[str, Any] | None:
    """Info of a file or folder; None if it does not exist.

    fsspec's own `exists` and `isdir` return False for everything that they cannot reach.
    """
    try:
        return dict(file_system.info(path))
    except FileNotFoundError:
        return None


def files_below(file_system: fsspec.AbstractFileSystem, folder: str) -> Iterator[str]:
    """Paths of all files below `folder`, in any order. Raises for a folder that cannot be listed.

    fsspec's `walk` and `find` leave out such a folder below the first level, whatever their options.
    """
    if isinstance(file_system, LocalFileSystem):
        yield from _local_files_below(folder)
        return
    for info in file_system.ls(folder, detail=True):
        path = info["name"].rstrip("/")
        if info["type"] != "directory":
            yield path
        elif path != folder:  # some object stores list a folder as its own first entry
            yield from files_below(file_system, path)


def _local_files_below(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:  # fsspec would look up the size and times of every file
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):  # links can go round in circles
                yield from _local_files_below(entry.path)
            else:
                yield entry.path
