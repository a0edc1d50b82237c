"""What fsspec leaves open: which errors a file system raises, and when, and listings that are whole or none."""

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

ANSWER_S = 20.0  # clients look for a network and for credentials for a minute and more where there are none
T = TypeVar("T")


class StorageError(OSError):
    """A file system could not do what it was asked to, for a reason of any kind."""


@contextlib.contextmanager
def wrap_storage_errors() -> Iterator[None]:
    """Turns what any file system raises, and what fsspec raises for a URL it does not know, into a StorageError.

    Their classes have nothing in common: those of gcsfs, google.auth and botocore are no OSErrors. FileNotFoundError
    and FileExistsError are answers, and stay what they are.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageError, JobError):
        raise
    except Exception as error:
        reason = error_message(error)
        raise StorageError(f"no permission ({reason})" if is_forbidden(error) else reason) from error


def call_with_timeout(ask: Callable[[], T]) -> T:
    """What `ask`, which is the first to use a file system, returns or raises.

    Raises:
        StorageError: it has come to no end within ANSWER_S.
    """
    answer: Future[T] = Future()

    def wait_for_it() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=wait_for_it, daemon=True).start()
    try:
        return answer.result(ANSWER_S)
    except TimeoutError as error:
        if answer.done():  # it is what `ask` raised
            raise
        raise StorageError(f"no answer within {ANSWER_S:g} s; see to the network and to your credentials") from error


def stat_or_none(file_system: fsspec.AbstractFileSystem, path: str) -> dict[str, Any] | None:
    """What the file system says of a file or folder; None where there is none.

    fsspec's own `exists` and `isdir` say no to all that they cannot reach.
    """
    try:
        return dict(file_system.info(path))
    except FileNotFoundError:
        return None


def files_below(file_system: fsspec.AbstractFileSystem, folder: str) -> Iterator[str]:
    """Paths of all files below `folder`, in no order. Raises for a folder that cannot be listed.

    fsspec's `walk` and `find` leave such a folder out, below the first level whatever they are told.
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
    with os.scandir(folder) as entries:  # fsspec would ask for the size and times of every file
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):  # links can go round in circles
                yield from _local_files_below(entry.path)
            else:
                yield entry.path
