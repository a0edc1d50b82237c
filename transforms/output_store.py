"""The output folder, on any file system: where things are, and how an object comes to be exactly once."""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from model.store_errors import again
from schemas.errors import JobError
from schemas.records import Failure, PartReport
from transforms.file_system import StorageError, files_below, storage_errors, what_is_at

METADATA_KEY = b"earmark"  # of a part's footer: a JSON object with run_id, key, fingerprint, failures


@dataclass(frozen=True)
class OutputStore:
    """An output folder. Paths of its methods are relative to `root`, a local path or any URL that fsspec knows.

    What passes by itself is tried again. Whatever else goes wrong with the file system is a StorageError, but for
    FileNotFoundError of what is read or removed.
    """

    root: str

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # The listings decide what is annotated already and who runs; fsspec's cache of them would never expire.
        file_system, path = url_to_fs(self.root, use_listings_cache=False)
        return file_system, path.rstrip("/")

    @contextlib.contextmanager
    def _reached(self) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
        """The file system and the path of the root there, for what can go wrong on it."""
        with storage_errors():
            yield self._place

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}

    @staticmethod
    def part_path(key: str) -> str:
        return f"annotations/{key[:2]}/part-{key}.parquet"

    @again
    def create(self, path: str, content: bytes) -> bool:
        """Puts a whole object in place, or does nothing and returns False where another one is there already.

        In an object store, one of the same content is this one: where the answer to a write is lost, the client writes
        again and finds what it has written. A lease is told from others by its run and its process.
        """
        with self._reached() as (file_system, root):
            target = f"{root}/{path}"
            if isinstance(file_system, LocalFileSystem):
                return self._create_locally(target, content)
            try:
                _put(file_system, target, content, mode="create")
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):  # it has been removed since
                    return bool(file_system.cat_file(target) == content)
                return False
            return True

    def _create_locally(self, target: str, content: bytes) -> bool:
        with self._temporary(content) as temporary:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
        return True

    @again
    def replace(self, path: str, content: bytes) -> None:
        """Puts a whole object in place of an earlier one; a reader sees the one or the other."""
        with self._reached() as (file_system, root):
            target = f"{root}/{path}"
            if isinstance(file_system, LocalFileSystem):
                with self._temporary(content) as temporary:
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    os.replace(temporary, target)
            else:
                _put(file_system, target, content, mode="overwrite")

    @contextlib.contextmanager
    def _temporary(self, content: bytes) -> Iterator[str]:
        """The content in a file of its own, which is gone afterwards unless it has been moved."""
        folder = f"{self._place[1]}/_earmark/tmp"
        os.makedirs(folder, exist_ok=True)
        path = f"{folder}/{uuid.uuid4().hex}"
        try:
            with open(path, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def clear_temporary(self) -> None:
        """Removes what a killed run left half written; only for who holds the lease."""
        with self._reached() as (file_system, root), contextlib.suppress(FileNotFoundError):
            if isinstance(file_system, LocalFileSystem):
                file_system.rm(f"{root}/_earmark/tmp", recursive=True)

    @again
    def read(self, path: str) -> bytes:
        with self._reached() as (file_system, root):
            return bytes(file_system.cat_file(f"{root}/{path}"))

    @again
    def remove(self, path: str) -> None:
        with self._reached() as (file_system, root):
            file_system.rm_file(f"{root}/{path}")

    @again
    def names(self, folder: str) -> list[str]:
        """Names of the objects right in `folder`, sorted; none where there is no such folder."""
        with self._reached() as (file_system, root):
            try:
                found = file_system.ls(f"{root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
            return sorted(path.rstrip("/").rsplit("/", 1)[1] for path in found)

    @again
    def parts(self) -> list[str]:
        """Paths of all parts, sorted. What is listed is complete; a folder that cannot be listed is an error."""
        with self._reached() as (file_system, root):
            folder, below = f"{root}/annotations", len(root) + 1
            found = files_below(file_system, folder) if what_is_at(file_system, folder) else iter(())
            return sorted(path[below:] for path in found if path.endswith(".parquet"))

    @again
    def read_part(self, path: str) -> tuple[list[str], PartReport]:
        """The ids that a part annotates, and its report.

        Raises:
            JobError: the file is not a part that earmark wrote.
        """
        with self._open_part(path) as file:
            part = pq.ParquetFile(file)
            ids = part.read(columns=["id"]).column("id").to_pylist()
            return ids, _report(part.metadata)

    @again
    def read_report(self, path: str) -> PartReport:
        """What a part says of itself; reads the footer only. Raises JobError as read_part does."""
        with self._open_part(path) as file:
            return _report(pq.read_metadata(file))

    @contextlib.contextmanager
    def _open_part(self, path: str) -> Iterator[BinaryIO]:
        with self._reached() as (file_system, root), file_system.open(f"{root}/{path}", "rb") as file:
            try:
                yield file
            except (pa.ArrowInvalid, KeyError) as error:
                raise JobError(
                    f"{root}/{path} is not a part that earmark wrote; move it elsewhere ({error})"
                ) from error


def _put(file_system: fsspec.AbstractFileSystem, target: str, content: bytes, mode: str) -> None:
    try:
        file_system.pipe_file(target, content, mode=mode)
    except FileNotFoundError as error:  # a store makes folders by itself
        raise StorageError(f"there is no bucket {target.partition('/')[0]}") from error


def encode_part(table: pa.Table, report: PartReport, run_id: str, fingerprint: str) -> bytes:
    """A part as the bytes of a Parquet file: annotations as rows, failures and what made it in the footer."""
    about = {
        "run_id": run_id,
        "key": report.key,
        "fingerprint": fingerprint,
        "failures": [asdict(failure) for failure in report.failures],
    }
    return encode_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(about).encode()}))


def encode_table(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _report(footer: pq.FileMetaData) -> PartReport:
    about: dict[str, Any] = json.loads((footer.metadata or {})[METADATA_KEY])
    return PartReport(about["key"], footer.num_rows, tuple(Failure(**failure) for failure in about["failures"]))
