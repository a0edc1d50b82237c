"""The folder of a downloaded data set, on any file system."""

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
    """A folder at `url`, a local path or any URL that fsspec supports; paths are relative to it.

    Errors of the file system are OSErrors; errors in the data are JobErrors that name the file.
    """

    url: str

    @cached_property
    def _location(self) -> tuple[fsspec.AbstractFileSystem, str]:
        file_system, path = url_to_fs(self.url)
        return file_system, path.rstrip("/")

    @property
    def root(self) -> str:
        """Absolute path or URL of the folder, valid on every machine that reads it."""
        local = isinstance(self._location[0], LocalFileSystem)
        return os.path.abspath(self._location[1]) if local else self.url.rstrip("/")

    def check(self) -> None:
        """Raises JobError where the folder does not exist, or its store does not answer."""
        try:
            with wrap_storage_errors():
                info = call_with_timeout(lambda: stat_or_none(*self._location))
        except OSError as error:
            raise JobError(f"{self.url} cannot be reached: {error}") from error
        if info is None or info["type"] != "directory":
            raise JobError(f"there is no folder {self.url}")

    @retry_transient
    def first(self, paths: Sequence[str]) -> str:
        """The first of `paths` that exists; "" for none."""
        file_system, root = self._location
        with wrap_storage_errors():
            return next((path for path in paths if stat_or_none(file_system, f"{root}/{path}") is not None), "")

    @retry_transient
    def files(self, folder: str) -> list[str]:
        """All files below `folder`, sorted."""
        file_system, root = self._location
        with wrap_storage_errors():
            below = len(root) + 1
            return sorted(path[below:] for path in files_below(file_system, posixpath.normpath(f"{root}/{folder}")))

    def text(self, path: str) -> str:
        """The text of a UTF-8 file, without a byte order mark."""
        try:
            return self._read(path).decode("utf-8-sig")
        except FileNotFoundError as error:
            raise JobError(f"{self.url} has no {path}") from error
        except UnicodeDecodeError as error:
            raise JobError(f"{self.url}/{path} is not UTF-8: {error}") from error

    @retry_transient
    def _read(self, path: str) -> bytes:
        file_system, root = self._location
        with wrap_storage_errors():
            return bytes(file_system.cat_file(f"{root}/{path}"))

    def json(self, path: str) -> Any:
        try:
            return json.loads(self.text(path))
        except (ValueError, RecursionError) as error:
            raise JobError(f"{self.url}/{path} is not JSON: {error}") from error

    def lines(self, path: str) -> Iterator[str]:
        """The lines that are not blank. Only line feeds end a line: texts contain other separators."""
        for line in self.text(path).split("\n"):
            if line.strip():
                yield line.rstrip("\r")

    def table(self, path: str, columns: Sequence[str], dialect: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """Rows of a file of separated values with a header.

        Args:
            columns: Required columns.
            dialect: Options of csv.reader.
        """
        reader = csv.DictReader(io.StringIO(self.text(path), newline=""), **dialect)
        try:
            names = reader.fieldnames or []
            if missing := [column for column in columns if column not in names]:
                raise JobError(
                    f"{self.url}/{path} has no column {missing[0]!r}; it has {', '.join(map(repr, names)) or 'none'}"
                )
            for row in reader:
                if short := [column for column in columns if row[column] is None]:
                    raise JobError(f"{self.url}/{path}, line {reader.line_num}, ends before its column {short[0]!r}")
                yield row
        except csv.Error as error:
            raise JobError(f"{self.url}/{path}, line {reader.line_num}: {error}") from error
