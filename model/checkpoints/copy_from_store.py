"""Checkpoints in object stores: copied to this machine once, whole, and never changed there afterwards."""

import base64
import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import google_crc32c
from filelock import FileLock, Timeout

from earmark.model.checkpoints.files import FILES, files_digest, is_read
from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import JobError
from earmark.schemas.records import stable_hash
from earmark.schemas.text import error_message, join_some

log = logging.getLogger("earmark")
RECORD = "copied.json"  # written last: a folder that has it was copied completely
CHUNK_BYTES = 1 << 20
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# Keys of an object's version in the listings of stores, surest first; times only where there is nothing better.
VERSIONS = (("generation",), ("ETag", "etag"), ("mtime", "LastModified", "last_modified", "updated", "created"))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as its store lists it. `checksum` is hexadecimal, of the kind "crc32c", "md5", "etag", or "" for none."""

    name: str
    path: str
    size: int
    version: str
    checksum_kind: str
    checksum: str


@dataclass(frozen=True, slots=True)
class CopiedCheckpoint:
    """Record of a copy: its source, the files' digest (files.files_digest) and their sizes in bytes."""

    url: str
    digest: str
    sizes: dict[str, int]


def copy_checkpoint(url: str) -> tuple[Path, str]:
    """The folder on this machine that holds the files of an object store's folder, and their digest.

    Of several processes that need it, one copies and the others wait for it. A store whose files have changed since is
    copied to another folder, so that nothing changes under a running job.

    Raises:
        JobError: The files cannot be copied completely; the message has the remedy.
    """
    files = _listed(url)
    folder = models_folder() / stable_hash(url.rstrip("/"), *(f"{f.name} {f.size} {f.version}" for f in files))
    try:
        copied = _copied(folder)
        if copied is None:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder):
                copied = _copied(folder) or _copy(url, files, folder)
    except OSError as error:
        raise JobError(
            f"--model={url} cannot be copied to {folder} ({error}); make room there, or let EARMARK_CACHE name another"
            " folder"
        ) from error
    return folder, copied.digest


def models_folder() -> Path:
    """Folder of copied models: EARMARK_CACHE/models, else earmark/models in XDG_CACHE_HOME or ~/.cache."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("EARMARK_CACHE") or caches / "earmark").expanduser().absolute() / "models"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A lock between processes of this machine, which the system releases when its holder dies."""
    lock = FileLock(f"{folder}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that copies the model to %s", folder)
        held = lock.acquire()
    with held:
        yield


def _copied(folder: Path) -> CopiedCheckpoint | None:
    """The record of an earlier copy, if its files are still there."""
    try:
        copied = CopiedCheckpoint(**json.loads((folder / RECORD).read_text()))
        sizes = {name: (folder / name).stat().st_size for name in copied.sizes}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # a record cut short: the power failed
        return None
    return copied if sizes == copied.sizes else None


def _copy(url: str, files: tuple[StoredFile, ...], folder: Path) -> CopiedCheckpoint:
    for leftover in folder.iterdir():  # of a copy that was interrupted
        leftover.unlink()
    total, free = sum(file.size for file in files), shutil.disk_usage(folder).free
    if total > free:
        raise OSError(errno.ENOSPC, f"it takes {total / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free")
    log.info("copying %s (%.2f GB) to %s", url, total / 1e9, folder)
    digest = files_digest({file.name: _copy_file(url, file, folder) for file in files})
    if _listed(url) != files:
        raise JobError(f"--model={url} changed while it was copied; start again when it is complete")
    copied = CopiedCheckpoint(url, digest, {file.name: file.size for file in files})
    temporary = folder / f"{RECORD}.part"
    temporary.write_text(json.dumps(dataclasses.asdict(copied)))
    temporary.rename(folder / RECORD)
    return copied


@retry_transient
def _copy_file(url: str, file: StoredFile, folder: Path) -> str:
    """Copies one file, moves it into place when it is as the store lists it, and returns its sha256."""
    temporary = folder / f"{file.name}.part"
    with _store_errors(url):
        store = fsspec.core.url_to_fs(url)[0]
        store.get_file(file.path, str(temporary))
    size = temporary.stat().st_size
    if size != file.size:
        raise JobError(f"--model={url}: {file.name} came with {size} bytes, the store lists {file.size}; start again")
    sums = _checksums(temporary, file.checksum_kind)
    if sums[1] != file.checksum and not (file.checksum_kind == "etag" and _came_twice(url, file, sums[0])):
        raise JobError(
            f"--model={url}: {file.name} came with {file.checksum_kind} {sums[1]}, the store lists {file.checksum};"
            " start again; if this repeats, upload the file again"
        )
    temporary.rename(folder / file.name)
    return sums[0]


def _checksums(path: Path, kind: str) -> tuple[str, str]:
    """A file's sha256 and its checksum of the kind, both in hexadecimal."""
    sha256, checksum = hashlib.sha256(), _checksum(kind)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            checksum.update(chunk)
        os.fsync(file.fileno())  # a record must not outlive a power cut that its files do not
    return sha256.hexdigest(), checksum.digest().hex() if kind else ""


def _checksum(kind: str) -> Any:
    if kind == "crc32c":
        return google_crc32c.Checksum()
    return hashlib.md5(usedforsecurity=False)


@retry_transient
def _came_twice(url: str, file: StoredFile, sha256: str) -> bool:
    """Whether a second reading gives the same bytes: S3's ETag is not an md5 for some kinds of encryption."""
    second = hashlib.sha256()
    with _store_errors(url), fsspec.core.url_to_fs(url)[0].open(file.path, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            second.update(chunk)
    return second.hexdigest() == sha256


@retry_transient
def _listed(url: str) -> tuple[StoredFile, ...]:
    """The files that engines read, sorted by name, as the store lists them now."""
    with _store_errors(url):
        store, path = fsspec.core.url_to_fs(url)
        store.invalidate_cache()
        entries = store.ls(path, detail=True)
    if [entry["name"] for entry in entries if entry["type"] == "file"] == [path]:
        raise JobError(f"--model={url} is a file; name the folder that holds it and the other files")
    names = {entry["name"].rpartition("/")[2]: entry for entry in entries if entry["type"] == "file"}
    files = tuple(_stored(url, name, names[name]) for name in sorted(names) if is_read(name))
    if not files:
        listed = join_some(sorted(names), 12) or "no files"
        raise JobError(f"--model={url} holds none of the files of a model ({', '.join(FILES)}); found {listed}")
    return files


def _stored(url: str, name: str, entry: dict[str, Any]) -> StoredFile:
    if entry.get("size") is None:
        raise JobError(f"--model={url} does not list the size of {name}, so a copy cannot be checked; copy it yourself")
    version = next((f"{entry[key]}" for keys in VERSIONS for key in keys if entry.get(key)), "")
    if not version:
        raise JobError(f"--model={url} does not list when {name} changed, so a copy may be old; copy it yourself")
    kind, checksum = "", ""
    etag = str(entry.get("ETag", "")).strip('"')
    if entry.get("crc32c"):  # of Google's stores, base64
        kind, checksum = "crc32c", base64.b64decode(entry["crc32c"]).hex()
    elif entry.get("md5Hash"):
        kind, checksum = "md5", base64.b64decode(entry["md5Hash"]).hex()
    elif re.fullmatch("[0-9a-f]{32}", etag):  # of S3; that of an upload in parts ends with their number
        kind, checksum = "etag", etag
    return StoredFile(name, entry["name"], entry["size"], version, kind, checksum)


@contextlib.contextmanager
def _store_errors(url: str) -> Iterator[None]:
    """Turns errors of a store into a JobError; those of a full local disk stay an OSError."""
    try:
        yield
    except FileNotFoundError as error:
        raise JobError(f"--model={url}: there is no such folder or bucket") from error
    except PermissionError as error:
        raise JobError(f"--model={url} may not be read ({error}); sign in, or ask for the right to read it") from error
    except Exception as error:  # errors of gcsfs, google.auth and botocore have no class in common
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        reason = error_message(error)
        raise JobError(f"--model={url} cannot be read: {reason}") from error
