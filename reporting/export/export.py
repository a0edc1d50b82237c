"""`earmark export`: annotations in a format that other programs read, a few at a time, to any file system."""

import contextlib
import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import fsspec
import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from earmark.reporting.export.captions import INDEX, caption_files
from earmark.reporting.export.csv import csv_lines
from earmark.reporting.export.hub import write_hub_folder
from earmark.reporting.export.lhotse import lhotse_lines
from earmark.reporting.export.manifest import nemo_lines
from earmark.reporting.export.options import Exported, ExportOptions
from earmark.reporting.export.rows import Counts, check_condition, passing_tables, text_task
from earmark.reporting.provenance import Provenance, read_provenance
from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask
from earmark.schemas.suggest import suggest
from earmark.schemas.tables import extra_as_map
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import stat_or_none, wrap_storage_errors

PARTIAL = ".earmark-partial"  # the end of what an export is called on a disk until it is whole


@dataclass(frozen=True)
class Target:
    """Where an export goes: a path that nothing was at. On a disk it is written beside it, and moved when whole."""

    file_system: fsspec.AbstractFileSystem
    path: str

    @property
    def is_local(self) -> bool:
        return isinstance(self.file_system, LocalFileSystem)

    @property
    def written_at(self) -> str:
        return f"{self.path}{PARTIAL}" if self.is_local else self.path

    def create(self, name: str) -> BinaryIO:
        """A new file in the folder, or the target itself for "". Raises FileExistsError where there is one, locally."""
        path = f"{self.written_at}/{name}" if name else self.written_at
        if self.is_local:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        return self.file_system.open(path, "xb" if self.is_local else "wb")  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Around the writing of all of it: what is cut short is removed, by the next export after a killed one."""
        if self.is_local:
            self._remove()
        try:
            yield
            if self.is_local:
                os.rename(self.written_at, self.path)
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.file_system.rm(self.written_at, recursive=True)


def export(place: str, to: str, options: ExportOptions) -> Exported:
    """Writes the annotations of the output at `place` to `to`.

    Raises:
        JobError: an option makes no sense, there is something at `to`, the output cannot be read, or `to` not written.
    """
    options.check(to)
    store = OutputStore.at(place)
    try:
        with wrap_storage_errors():
            target = _target(to)
            provenance = read_provenance(store)
            tasks = _tasks(provenance, options)
            parts = store.parts()
            if not parts:
                raise JobError(f"{store.root} has no annotations")
            schema = store.schema(parts[0])
            check_condition(extra_as_map(schema.empty_table()).schema, options.where)
            counts = Counts()
            tables = passing_tables(store, parts, options.where, counts)
            with target.whole():
                _WRITERS[options.format](_Export(store, target, options, provenance, tasks, schema), tables, counts)
    except OSError as error:
        raise JobError(f"output {place} cannot be exported to {to}: {error}") from error
    return Exported(
        store.root,
        to,
        options.format,
        counts.of,
        counts.rows,
        counts.unknown,
        counts.left_out,
        tuple(counts.examples),
        counts.in_containers,
    )


@dataclass(frozen=True)
class _Export:
    """What the writers need to know. `tasks`: those whose answers are written."""

    store: OutputStore
    target: Target
    options: ExportOptions
    provenance: Provenance
    tasks: tuple[AskedTask, ...]
    schema: pa.Schema


def _target(to: str) -> Target:
    file_system, path = url_to_fs(to, use_listings_cache=False)
    path = path.rstrip("/")
    if stat_or_none(file_system, path) is not None:
        raise JobError(f"{to} does not work: there is something already; name another place, or remove it")
    return Target(file_system, path)


def _tasks(provenance: Provenance, options: ExportOptions) -> tuple[AskedTask, ...]:
    by_name = {task.name: task for task in provenance.job.tasks}
    for name in options.task:
        if name not in by_name:
            raise JobError(
                f"--task={name} does not work: the output has answers to {', '.join(by_name)}{suggest(name, by_name)}"
            )
    tasks = tuple(by_name[name] for name in dict.fromkeys(options.task)) or provenance.job.tasks
    if options.format in ("vtt", "srt") and text_task(tasks) is None:
        names = ", ".join(task.name for task in tasks)
        raise JobError(f"--format={options.format} does not work: none of {names} answers in text; captions are text")
    return tasks


def _nemo(job: _Export, tables: Iterator[pa.Table], counts: Counts) -> None:
    _write_lines(job.target, nemo_lines(tables, job.tasks, job.provenance.job.language, counts))


def _csv(job: _Export, tables: Iterator[pa.Table], counts: Counts) -> None:
    _write_lines(job.target, csv_lines(tables, job.schema, job.tasks, counts))


def _write_lines(target: Target, lines: Iterable[str]) -> None:
    with target.create("") as file:
        for line in lines:
            file.write(line.encode())


def _captions(job: _Export, tables: Iterator[pa.Table], counts: Counts) -> None:
    task = text_task(job.tasks)
    assert task is not None  # _tasks has seen to it
    with job.target.create(INDEX) as index:
        for found in caption_files(tables, task, job.options.format, counts):
            try:
                with job.target.create(found.name) as file:
                    file.write(found.content.encode())
            except FileExistsError as error:  # of two ids in a folder that does not tell A from a
                raise JobError(f"{found.name} is there twice in {job.target.path}; export to another disk") from error
            index.write(found.index.encode())


def _lhotse(job: _Export, tables: Iterator[pa.Table], counts: Counts) -> None:
    with ExitStack() as opened:
        names = ("recordings.jsonl.gz", "supervisions.jsonl.gz")
        raw = [opened.enter_context(job.target.create(name)) for name in names]
        recordings, supervisions = (opened.enter_context(_compressed(file)) for file in raw)
        for lines in lhotse_lines(tables, job.tasks, job.provenance.job.language, counts):
            recordings.write(lines.recording.encode())
            supervisions.write(lines.supervision.encode())


def _compressed(file: BinaryIO) -> gzip.GzipFile:
    """Without the time in its header, so that the same export is the same bytes."""
    return gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6)


def _hub(job: _Export, tables: Iterator[pa.Table], counts: Counts) -> None:
    name = job.target.path.rsplit("/", 1)[-1]
    create, where = job.target.create, job.options.where
    write_hub_folder(job.store, create, tables, job.schema, job.tasks, job.provenance, name, where, counts)


_WRITERS: dict[str, Callable[[_Export, Iterator[pa.Table], Counts], None]] = {
    "nemo": _nemo,
    "csv": _csv,
    "vtt": _captions,
    "srt": _captions,
    "lhotse": _lhotse,
    "hf": _hub,
}
