"""Finds the files of a manifest: files by name or glob, and the audio files of a folder or a glob."""

import logging
import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import JobError
from earmark.schemas.manifest import ManifestRow
from earmark.schemas.text import counted
from earmark.transforms.containers.registry import CONTAINER_KINDS, kind_of_suffix
from earmark.transforms.storage.audio_suffixes import AUDIO_SUFFIXES
from earmark.transforms.storage.file_system import call_with_timeout, files_below, stat_or_none, wrap_storage_errors

log = logging.getLogger("earmark")

TEXT_FORMATS = ("jsonl", "json", "csv", "tsv")
FORMATS = (*TEXT_FORMATS, *(kind.suffix for kind in CONTAINER_KINDS))
COMPRESSIONS = ("gz", "bz2", "xz", "zst")


def manifest_format(path: str) -> str:
    """Return the one of FORMATS that the name ends in, compressed or not; "" for other files."""
    suffixes = [suffix.lstrip(".").lower() for suffix in PurePosixPath(path).suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in FORMATS else ""


def find_manifests(manifest: str) -> list[str]:
    """Return the manifest files that `manifest`, a file or a glob, names, or `manifest` itself for a folder of audio.

    Local paths are returned absolute, as ids are made of them, and a worker may run in another folder.

    Raises:
        JobError: Nothing is there, a glob matches both manifests and audio files, or a container is compressed.
    """
    try:
        with wrap_storage_errors():
            file_system, path, info = call_with_timeout(lambda: _look(manifest))
            if info is None and any(character in path for character in "*?["):
                return _matches(file_system, path, manifest)
    except OSError as error:
        raise JobError(f"manifest {manifest} cannot be reached: {error}") from error
    if info is None:
        raise JobError(f"there is no manifest {manifest}")
    is_folder = info["type"] == "directory"
    if is_folder and manifest_format(path):
        raise JobError(f"manifest {manifest} is a folder; name the files in it, as in {manifest.rstrip('/')}/*")
    if is_folder or manifest_format(path):
        _check_plain(path)
        return [_from_anywhere(file_system, path, manifest)]
    raise JobError(
        f"manifest {manifest} is not in a format that earmark reads: give a file that ends in"
        f" {', '.join('.' + name for name in TEXT_FORMATS)} (compressed or not),"
        f" {' or '.join('.' + kind.suffix for kind in CONTAINER_KINDS)}, a folder of audio files, or a glob of either"
    )


def _check_plain(path: str) -> None:
    kind = manifest_format(path)
    if kind_of_suffix(kind) and not path.lower().endswith(f".{kind}"):
        raise JobError(f"{path} is compressed, so it could only be read from its start; decompress the {kind} file")


@retry_transient
def _look(url: str) -> tuple[fsspec.AbstractFileSystem, str, dict[str, Any] | None]:
    """The file system of a path or URL, its path there, and the file system's info; None if nothing is there."""
    file_system, path = url_to_fs(url)
    return file_system, path, stat_or_none(file_system, path)


@retry_transient
def _matches(file_system: fsspec.AbstractFileSystem, path: str, manifest: str) -> list[str]:
    """The manifest files that a glob matches, or the glob itself where it matches audio files."""
    names = sorted(file_system.glob(path))
    if not names:
        raise JobError(f"nothing matches the manifest {manifest}")
    manifests = [name for name in names if manifest_format(name)]
    audio_files = sum(_is_audio(name) for name in names)
    if manifests and audio_files:
        raise JobError(
            f"{manifest} matches {counted(len(manifests), 'manifest')} and {counted(audio_files, 'audio file')};"
            " name only one kind of files"
        )
    if not manifests:
        return [_from_anywhere(file_system, path, manifest)]
    for name in manifests:
        _check_plain(name)
    return [_from_anywhere(file_system, name, file_system.unstrip_protocol(name)) for name in manifests]


def _from_anywhere(file_system: fsspec.AbstractFileSystem, path: str, url: str) -> str:
    """A name that opens the file from any folder: the absolute path of a local file, the URL of another."""
    return os.path.abspath(path) if isinstance(file_system, LocalFileSystem) else url


def audio_files(url: str) -> Iterator[ManifestRow]:
    """Rows of the files in a folder that have the suffix of an audio file, or of all files that a glob matches."""
    file_system, path, info = _look(url)
    if info is not None and info["type"] == "directory":
        files = list(files_below(file_system, path))
        names = [name for name in files if _is_audio(name)]
        if left_out := len(files) - len(names):
            log.warning("left out of %s: %s without the suffix of an audio file", url, counted(left_out, "file"))
    else:
        matches = file_system.glob(path, detail=True)
        names = [name for name, info in matches.items() if info["type"] != "directory"]
    for number, name in enumerate(sorted(names), 1):
        yield ManifestRow(url, number, {"audio": _from_anywhere(file_system, name, file_system.unstrip_protocol(name))})


def _is_audio(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES
