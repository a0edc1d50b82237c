"""The output folder, on any file system: where things are, and how an object comes to be exactly once."""

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import JobError
from earmark.schemas.records import PartReport
from earmark.schemas.tables import FAILURES, extra_as_map
from earmark.transforms.output.footer import PartFooter
from earmark.transforms.storage.file_system import StorageError, files_below, stat_or_none, wrap_storage_errors

JOB_PATH = "_earmark/job.json"
FAILURES_PATH = "failures/failures.parquet"
MERGED_FOLDER = "annotations/merged"  # after every other folder of annotations/ by name; docs/design.md says why
REQUESTS = 8  # at a time, where there are many to make


@dataclass(frozen=True, slots=True)
class Listing:
    """The parts of an output, sorted.

    Attributes:
        parts: paths of the parts that count.
        replaced: paths of parts that a merged part stands for, left over where a compaction was cut; all that they
            hold is in that one.
    """

    parts: list[str]
    replaced: list[str]


@dataclass(frozen=True)
class OutputStore:
    """An output folder. Paths of its methods are relative to `root`, a local path or any URL that fsspec knows.

    What passes by itself is tried again. Whatever else goes wrong with the file system is a StorageError, but for
    FileNotFoundError of what is read or removed.
    """

    root: str

    @classmethod
    def at(cls, place: str) -> "OutputStore":
        """The output at a path or URL as a person names it, whatever is there."""
        return cls((place if "://" in place else os.path.abspath(place)).rstrip("/"))

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # The listings decide what is annotated already and who runs; fsspec's cache of them would never expire.
        file_system, path = url_to_fs(self.root, use_listings_cache=False)
        return file_system, path.rstrip("/")

    @contextlib.contextmanager
    def _reached(self) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
        """The file system and the path of the root there, for what can go wrong on it."""
        with wrap_storage_errors():
            yield self._place

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}

    @staticmethod
    def part_path(key: str) -> str:
        return f"annotations/{key[:2]}/part-{key}.parquet"

    @retry_transient
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

    @retry_transient
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

    @retry_transient
    def read(self, path: str) -> bytes:
        with self._reached() as (file_system, root):
            return bytes(file_system.cat_file(f"{root}/{path}"))

    @retry_transient
    def remove(self, path: str) -> None:
        with self._reached() as (file_system, root):
            file_system.rm_file(f"{root}/{path}")

    @retry_transient
    def names(self, folder: str) -> list[str]:
        """Names of the objects right in `folder`, sorted; none where there is no such folder."""
        with self._reached() as (file_system, root):
            try:
                found = file_system.ls(f"{root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
            return sorted(path.rstrip("/").rsplit("/", 1)[1] for path in found)

    def parts(self) -> list[str]:
        """Paths of the parts that count, sorted; see listing."""
        return self.listing().parts

    @retry_transient
    def listing(self) -> Listing:
        """All parts. What is listed is complete; a folder that cannot be listed is an error.

        Raises:
            JobError: a file among the merged parts is not a part that earmark wrote.
        """
        with self._reached() as (file_system, root):
            folder, below = f"{root}/annotations", len(root) + 1
            found = files_below(file_system, folder) if stat_or_none(file_system, folder) else iter(())
            paths = sorted(path[below:] for path in found if path.endswith(".parquet"))
        merged = [path for path in paths if path.startswith(f"{MERGED_FOLDER}/")]
        replaced = {path for part in merged for path in self._replaced_by(part)}
        return Listing([path for path in paths if path not in replaced], [path for path in paths if path in replaced])

    def _replaced_by(self, merged: str) -> Iterator[str]:
        with self._open_part(merged) as file:
            footer = PartFooter.of(pq.read_metadata(file))
        yield from (self.part_path(origin.key) for origin in footer.origins)
        yield from footer.merged

    @retry_transient
    def part_bytes(self) -> dict[str, int]:
        """The size of every part by its path; what cannot be listed is left out."""
        with self._reached() as (file_system, root):
            found = file_system.find(f"{root}/annotations", detail=True)
            return {path[len(root) + 1 :]: info["size"] for path, info in found.items()}

    def read_all(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        """Objects with their paths, in order; a few are read at a time."""
        with ThreadPoolExecutor(REQUESTS) as threads:
            for start in range(0, len(paths), REQUESTS):
                some = paths[start : start + REQUESTS]
                yield from zip(some, threads.map(self.read, some), strict=True)

    def remove_all(self, paths: Iterable[str]) -> None:
        """Removes what is there of objects, several at a time."""
        with ThreadPoolExecutor(REQUESTS) as threads:
            list(threads.map(self._remove_if_there, paths))

    def _remove_if_there(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.remove(path)

    @retry_transient
    def read_part(self, path: str) -> tuple[list[str], PartReport]:
        """The ids that a part annotates, and its report.

        Raises:
            JobError: the file is not a part that earmark wrote.
        """
        with self._open_part(path) as file:
            part = pq.ParquetFile(file)
            ids = part.read(columns=["id"]).column("id").to_pylist()
            return ids, PartFooter.of(part.metadata).report(part.metadata.num_rows)

    @retry_transient
    def read_columns(self, path: str, columns: Sequence[str]) -> tuple[pa.Table, PartReport]:
        """Columns of a part, such as "id" or "audio.duration_s", and its report; `extra` as a map.

        Raises:
            JobError: as read_part.
        """
        with self._open_part(path) as file:
            part = pq.ParquetFile(file)
            report = PartFooter.of(part.metadata).report(part.metadata.num_rows)
            return extra_as_map(part.read(columns=list(columns))), report

    def batches(self, path: str, batch_rows: int) -> Iterator[pa.Table]:
        """All columns of a part, some rows at a time; `extra` as a map. Raises JobError as read_part does."""
        with self._open_part(path) as file:
            for batch in pq.ParquetFile(file).iter_batches(batch_rows):
                yield extra_as_map(pa.Table.from_batches([batch]))

    @retry_transient
    def schema(self, path: str) -> pa.Schema:
        """The columns of a part. Raises JobError as read_part does."""
        with self._open_part(path) as file:
            return pq.read_schema(file).remove_metadata()

    def read_failures(self) -> pa.Table:
        """The table of `failures/`, where rows of manifests are too that no part knows of; empty until a run has ended.

        Raises:
            JobError: it is not one that earmark wrote.
        """
        try:
            return pq.read_table(pa.BufferReader(self.read(FAILURES_PATH))).select(FAILURES.names)
        except FileNotFoundError:
            return FAILURES.empty_table()
        except (pa.ArrowInvalid, KeyError) as error:
            raise JobError(f"{self.root}/{FAILURES_PATH} is not a table that earmark wrote ({error})") from error

    @retry_transient
    def read_report(self, path: str) -> PartReport:
        """What a part says of itself; reads the footer only. Raises JobError as read_part does."""
        with self._open_part(path) as file:
            footer = pq.read_metadata(file)
            return PartFooter.of(footer).report(footer.num_rows)

    @contextlib.contextmanager
    def _open_part(self, path: str) -> Iterator[BinaryIO]:
        with (
            self._reached() as (file_system, root),
            file_system.open(f"{root}/{path}", "rb") as file,
            part_errors(f"{root}/{path}"),
        ):
            yield file


@contextlib.contextmanager
def part_errors(path: str) -> Iterator[None]:
    """Turns what reading a file raises that is no part into the JobError that names it."""
    try:
        yield
    except (pa.ArrowInvalid, KeyError) as error:
        raise JobError(f"{path} is not a part that earmark wrote; move it elsewhere ({error})") from error


def _put(file_system: fsspec.AbstractFileSystem, target: str, content: bytes, mode: str) -> None:
    try:
        file_system.pipe_file(target, content, mode=mode)
    except FileNotFoundError as error:  # a store makes folders by itself
        raise StorageError(f"there is no bucket {target.partition('/')[0]}") from error


def encode_part(table: pa.Table, report: PartReport, run_id: str, fingerprint: str) -> bytes:
    """A part as the bytes of a Parquet file: annotations as rows, failures and what made it in the footer."""
    footer = PartFooter(run_id, report.key, fingerprint, report.failures)
    return encode_table(table.replace_schema_metadata(footer.encoded()))


def encode_table(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        if table.num_rows:  # Hugging Face's datasets cannot read a row group of no rows
            writer.write_table(table)
    return bytes(sink.getvalue())
