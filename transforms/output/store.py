"""The output folder on any file system: its paths, its parts, and writes that create each object once."""

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
REQUESTS = 8  # at a time, where many are needed


@dataclass(frozen=True, slots=True)
class Listing:
    """Paths of the parts of an output, sorted.

    Attributes:
        parts: Parts that hold the output: each row once.
        replaced: Parts that a merged part replaces and that an interrupted compaction did not remove.
    """

    parts: list[str]
    replaced: list[str]


@dataclass(frozen=True)
class OutputStore:
    """An output folder. Paths of its methods are relative to `root`, a local path or any URL that fsspec opens.

    Transient errors are retried. Every other error of the file system is a StorageError, except FileNotFoundError for
    an object that is read or removed.
    """

    root: str

    @classmethod
    def at(cls, url: str) -> "OutputStore":
        """Return the output at a path or URL, which need not exist."""
        return cls((url if "://" in url else os.path.abspath(url)).rstrip("/"))

    @cached_property
    def _opened(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # Listings decide what is annotated already and which run holds the output; fsspec's cache never expires.
        file_system, path = url_to_fs(self.root, use_listings_cache=False)
        return file_system, path.rstrip("/")

    @contextlib.contextmanager
    def _reached(self) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
        """The file system and the root's path on it; errors inside the context become StorageErrors."""
        with wrap_storage_errors():
            yield self._opened

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}

    @staticmethod
    def part_path(key: str) -> str:
        return f"annotations/{key[:2]}/part-{key}.parquet"

    @retry_transient
    def create(self, path: str, content: bytes) -> bool:
        """Create an object, or return False and change nothing if the path has another object already.

        In an object store, an object of the same content counts as this one: a client whose response was lost writes
        again and finds its own object. The contents of two leases differ by their run and process.
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
        """Write an object in place of an earlier one; a reader sees either the old or the new content."""
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
        """A temporary file with the content, removed afterwards unless it has been moved."""
        folder = f"{self._opened[1]}/_earmark/tmp"
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
        """Remove partial writes of a killed run; only the holder of the lease may do so."""
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
        """Names of the objects directly in `folder`, sorted; empty if the folder does not exist."""
        with self._reached() as (file_system, root):
            try:
                paths = file_system.ls(f"{root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
            return sorted(path.rstrip("/").rsplit("/", 1)[1] for path in paths)

    def parts(self) -> list[str]:
        """Paths of the parts that hold the output, sorted; see Listing."""
        return self.listing().parts

    @retry_transient
    def listing(self) -> Listing:
        """List all parts. The listing is complete: a folder that cannot be listed is an error.

        Raises:
            JobError: A file among the merged parts is not a part that earmark wrote.
        """
        with self._reached() as (file_system, root):
            folder, below = f"{root}/annotations", len(root) + 1
            files = files_below(file_system, folder) if stat_or_none(file_system, folder) else iter(())
            paths = sorted(path[below:] for path in files if path.endswith(".parquet"))
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
        """Size of every part by its path; folders that cannot be listed are left out."""
        with self._reached() as (file_system, root):
            files = file_system.find(f"{root}/annotations", detail=True)
            return {path[len(root) + 1 :]: info["size"] for path, info in files.items()}

    def read_all(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        """Paths and contents of objects, in order; REQUESTS are read at a time."""
        with ThreadPoolExecutor(REQUESTS) as threads:
            for start in range(0, len(paths), REQUESTS):
                chunk = paths[start : start + REQUESTS]
                yield from zip(chunk, threads.map(self.read, chunk), strict=True)

    def remove_all(self, paths: Iterable[str]) -> None:
        """Remove objects, several at a time; absent ones are passed over."""
        with ThreadPoolExecutor(REQUESTS) as threads:
            list(threads.map(self._remove_if_present, paths))

    def _remove_if_present(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.remove(path)

    @retry_transient
    def read_part(self, path: str) -> tuple[list[str], PartReport]:
        """Read the ids of a part's rows, and its report.

        Raises:
            JobError: The file is not a part that earmark wrote.
        """
        with self._open_part(path) as file:
            part = pq.ParquetFile(file)
            ids = part.read(columns=["id"]).column("id").to_pylist()
            return ids, PartFooter.of(part.metadata).report(part.metadata.num_rows)

    @retry_transient
    def read_columns(self, path: str, columns: Sequence[str]) -> tuple[pa.Table, PartReport]:
        """Read columns of a part, such as "id" or "audio.duration_s", and its report; `extra` as a map.

        Raises:
            JobError: As read_part.
        """
        with self._open_part(path) as file:
            part = pq.ParquetFile(file)
            report = PartFooter.of(part.metadata).report(part.metadata.num_rows)
            return extra_as_map(part.read(columns=list(columns))), report

    def batches(self, path: str, batch_rows: int) -> Iterator[pa.Table]:
        """Read all columns of a part, up to `batch_rows` rows at a time; `extra` as a map. Raises as read_part."""
        with self._open_part(path) as file:
            for batch in pq.ParquetFile(file).iter_batches(batch_rows):
                yield extra_as_map(pa.Table.from_batches([batch]))

    @retry_transient
    def schema(self, path: str) -> pa.Schema:
        """Read the columns of a part. Raises as read_part."""
        with self._open_part(path) as file:
            return pq.read_schema(file).remove_metadata()

    def read_failures(self) -> pa.Table:
        """Read the table of `failures/`, which also has unreadable manifest rows; empty until a run has ended.

        Raises:
            JobError: It is not a table that earmark wrote.
        """
        try:
            return pq.read_table(pa.BufferReader(self.read(FAILURES_PATH))).select(FAILURES.names)
        except FileNotFoundError:
            return FAILURES.empty_table()
        except (pa.ArrowInvalid, KeyError) as error:
            raise JobError(f"{self.root}/{FAILURES_PATH} is not a table that earmark wrote ({error})") from error

    @retry_transient
    def read_report(self, path: str) -> PartReport:
        """Read the report of a part from its footer alone. Raises as read_part."""
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
    """Turn the errors of reading a file that is not a part into a JobError that names it."""
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
    """Encode a part as a Parquet file: annotations as rows, failures and origin in the footer."""
    footer = PartFooter(run_id, report.key, fingerprint, report.failures)
    return encode_table(table.replace_schema_metadata(footer.encoded()))


def encode_table(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        if table.num_rows:  # Hugging Face's datasets cannot read a row group of no rows
            writer.write_table(table)
    return bytes(sink.getvalue())
