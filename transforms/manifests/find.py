"""Which files a manifest given by a user stands for: files by name or glob, and the audio of a folder or a glob."""

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
from earmark.transforms.storage.audio_suffixes import AUDIO_SUFFIXES
from earmark.transforms.storage.file_system import call_with_timeout, files_below, stat_or_none, wrap_storage_errors

log = logging.getLogger("earmark")

TAR = "tar"
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", TAR)
COMPRESSIONS = ("gz", "bz2", "xz", "zst")


def manifest_format(path: str) -> str:
    """One of FORMATS by the name, compressed or not; "" for what is no manifest."""
    suffixes = [suffix.lstrip(".").lower() for suffix in PurePosixPath(path).suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in FORMATS else ""


def find_manifests(manifest: str) -> list[str]:
    """The manifest files that `manifest` (a file or a glob of files) stands for, or itself for a folder of audio.

    Local paths come out absolute: ids are made of them, and a worker may be in another folder.

    Raises:
        JobError: there is nothing there, a glob matches manifests and audio files, or a tar is compressed.
    """
    try:
        with wrap_storage_errors():
            file_system, path, found = call_with_timeout(lambda: _look(manifest))
            if found is None and any(mark in path for mark in "*?["):
                return _matches(file_system, path, manifest)
    except OSError as error:
        raise JobError(f"manifest {manifest} cannot be reached: {error}") from error
    if found is None:
        raise JobError(f"there is no manifest {manifest}")
    is_folder = found["type"] == "directory"
    if is_folder and manifest_format(path):
        raise JobError(f"manifest {manifest} is a folder; name the files in it, as in {manifest.rstrip('/')}/*")
    if is_folder or manifest_format(path):
        _check_plain(path)
        return [_from_anywhere(file_system, path, manifest)]
    raise JobError(
        f"manifest {manifest} is none that earmark reads: a file ending in"
        f" {', '.join('.' + name for name in FORMATS if name != TAR)} (compressed or not) or .{TAR}, a folder of audio"
        " files, or a glob of either"
    )


def _check_plain(path: str) -> None:
    if manifest_format(path) == TAR and not path.lower().endswith(f".{TAR}"):
        raise JobError(f"{path} is compressed, so that no member can be read without all before it; decompress the tar")


@retry_transient
def _look(place: str) -> tuple[fsspec.AbstractFileSystem, str, dict[str, Any] | None]:
    """The file system of a path or URL, the path there, and what is there."""
    file_system, path = url_to_fs(place)
    return file_system, path, stat_or_none(file_system, path)


@retry_transient
def _matches(file_system: fsspec.AbstractFileSystem, path: str, manifest: str) -> list[str]:
    """The manifest files that a glob matches, or the glob itself where it matches audio files."""
    found = sorted(file_system.glob(path))
    if not found:
        raise JobError(f"nothing matches the manifest {manifest}")
    manifests = [name for name in found if manifest_format(name)]
    audio_files = sum(_is_audio(name) for name in found)
    if manifests and audio_files:
        raise JobError(
            f"{manifest} matches {len(manifests)} manifests and {audio_files} audio files; name the ones or the others"
        )
    if not manifests:
        return [_from_anywhere(file_system, path, manifest)]
    for name in manifests:
        _check_plain(name)
    return [_from_anywhere(file_system, name, file_system.unstrip_protocol(name)) for name in manifests]


def _from_anywhere(file_system: fsspec.AbstractFileSystem, path: str, url: str) -> str:
    """What names a file wherever it is asked for: the absolute path of a local one, the URL of another."""
    return os.path.abspath(path) if isinstance(file_system, LocalFileSystem) else url


def audio_files(place: str) -> Iterator[ManifestRow]:
    """The files of a folder with the suffix of an audio file, or all that a glob matches, by name."""
    file_system, path, found = _look(place)
    if found is not None and found["type"] == "directory":
        files = list(files_below(file_system, path))
        names = [name for name in files if _is_audio(name)]
        if left_out := len(files) - len(names):
            log.warning("left out of %s: %s without the suffix of an audio file", place, counted(left_out, "file"))
    else:
        matches = file_system.glob(path, detail=True)
        names = [name for name, info in matches.items() if info["type"] != "directory"]
    for number, name in enumerate(sorted(names), 1):
        yield ManifestRow(
            place, number, {"audio": _from_anywhere(file_system, name, file_system.unstrip_protocol(name))}
        )


def _is_audio(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES
