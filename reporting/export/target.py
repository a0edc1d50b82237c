"""Target of an export: a file or folder at a path or URL, which is complete or absent."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from earmark.schemas.errors import JobError
from earmark.transforms.storage.file_system import stat_or_none

PARTIAL = ".earmark-partial"  # suffix of an export on a local disk until it is complete


@dataclass(frozen=True)
class Target:
    """A path at which nothing exists. A local export is written under another name, and renamed when it is complete."""

    file_system: fsspec.AbstractFileSystem
    path: str

    @property
    def name(self) -> str:
        """Last component of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_local(self) -> bool:
        return isinstance(self.file_system, LocalFileSystem)

    @property
    def partial_path(self) -> str:
        return f"{self.path}{PARTIAL}" if self.is_local else self.path

    def create(self, name: str) -> BinaryIO:
        """A new file in the folder, or the target itself for "". Raises FileExistsError where there is one, locally."""
        path = f"{self.partial_path}/{name}" if name else self.partial_path
        if self.is_local:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        return self.file_system.open(path, "xb" if self.is_local else "wb")  # type: ignore[no-any-return]

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write the target as one file of text."""
        with self.create("") as file:
            for line in lines:
                file.write(line.encode())

    @contextlib.contextmanager
    def complete(self) -> Iterator[None]:
        """Surround the writing of the whole export: an interrupted one is removed, by the next export if need be."""
        if self.is_local:
            self._remove()
        try:
            yield
            if self.is_local:
                os.rename(self.partial_path, self.path)
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.file_system.rm(self.partial_path, recursive=True)


def new_target(to: str) -> Target:
    """The target at a path or URL. Raises JobError where something exists there."""
    file_system, path = url_to_fs(to, use_listings_cache=False)
    path = path.rstrip("/")
    if stat_or_none(file_system, path) is not None:
        raise JobError(f"{to} does not work: it exists already; choose another name, or remove it")
    return Target(file_system, path)
