"""What fsspec leaves open: which errors a file system raises, and listings that are whole or none."""

import contextlib
import os
from collections.abc import Iterator

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import JobError


class StorageError(OSError):
    """A file system could not do what it was asked to, for a reason of any kind."""


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Turns what any file system raises, and what fsspec raises for a URL it does not know, into a StorageError.

    Their classes have nothing in common: those of gcsfs, google.auth and botocore are no OSErrors. FileNotFoundError
    and FileExistsError are answers, and stay what they are.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageError, JobError):
        raise
    except Exception as error:
        raise StorageError(" ".join(str(error).split()) or type(error).__name__) from error


def is_there(file_system: fsspec.AbstractFileSystem, path: str) -> bool:
    """Whether there is a file or folder; fsspec's own `exists` says no to all that it cannot reach."""
    try:
        file_system.info(path)
    except FileNotFoundError:
        return False
    return True


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
