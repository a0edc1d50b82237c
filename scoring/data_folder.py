"""A folder of a data set as it was downloaded, on any file system."""

import csv
import io
import json
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import JobError
from earmark.transforms.storage.file_system import call_with_timeout, files_below, stat_or_none, wrap_storage_errors


@dataclass(frozen=True)
class DataFolder:
    """Paths of its methods are relative to `url`, a local path or any URL that fsspec knows.

    What goes wrong with the file system is an OSError; what is wrong with the data is a JobError that names the file.
    """

    url: str

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        file_system, path = url_to_fs(self.url)
        return file_system, path.rstrip("/")

    @property
    def root(self) -> str:
        """What its paths are relative to, wherever they are read: an absolute path, or the URL."""
        local = isinstance(self._place[0], LocalFileSystem)
        return os.path.abspath(self._place[1]) if local else self.url.rstrip("/")

    def check(self) -> None:
        """Raises JobError where there is no such folder, or its store does not answer."""
        try:
            with wrap_storage_errors():
                found = call_with_timeout(lambda: stat_or_none(*self._place))
        except OSError as error:
            raise JobError(f"{self.url} cannot be reached: {error}") from error
        if found is None or found["type"] != "directory":
            raise JobError(f"there is no folder {self.url}")

    @retry_transient
    def first(self, paths: Sequence[str]) -> str:
        """The first of `paths` that is there, "" for none."""
        file_system, root = self._place
        with wrap_storage_errors():
            return next((path for path in paths if stat_or_none(file_system, f"{root}/{path}") is not None), "")

    @retry_transient
    def files(self, folder: str) -> list[str]:
        """All files below `folder`, sorted."""
        file_system, root = self._place
        with wrap_storage_errors():
            below = len(root) + 1
            return sorted(path[below:] for path in files_below(file_system, posixpath.normpath(f"{root}/{folder}")))

    def text(self, path: str) -> str:
        """A file of UTF-8; a byte order mark is left out."""
        try:
            return self._read(path).decode("utf-8-sig")
        except FileNotFoundError as error:
            raise JobError(f"{self.url} has no {path}") from error
        except UnicodeDecodeError as error:
            raise JobError(f"{self.url}/{path} is not UTF-8: {error}") from error

    @retry_transient
    def _read(self, path: str) -> bytes:
        file_system, root = self._place
        with wrap_storage_errors():
            return bytes(file_system.cat_file(f"{root}/{path}"))

    def json(self, path: str) -> Any:
        try:
            return json.loads(self.text(path))
        except (ValueError, RecursionError) as error:
            raise JobError(f"{self.url}/{path} is not JSON: {error}") from error

    def lines(self, path: str) -> Iterator[str]:
        """The lines that hold something. Only line feeds end one: texts hold other separators, too."""
        for line in self.text(path).split("\n"):
            if line.strip():
                yield line.rstrip("\r")

    def table(self, path: str, columns: Sequence[str], dialect: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """Rows of a file of separated values with a header.

        Args:
            columns: that it must have.
            dialect: options of csv.reader.
        """
        reader = csv.DictReader(io.StringIO(self.text(path), newline=""), **dialect)
        try:
            there = reader.fieldnames or []
            if missing := [column for column in columns if column not in there]:
                raise JobError(
                    f"{self.url}/{path} has no column {missing[0]!r}; it has {', '.join(map(repr, there)) or 'none'}"
                )
            for row in reader:
                if short := [column for column in columns if row[column] is None]:
                    raise JobError(f"{self.url}/{path}, line {reader.line_num}, ends before its column {short[0]!r}")
                yield row
        except csv.Error as error:
            raise JobError(f"{self.url}/{path}, line {reader.line_num}: {error}") from error
