"""Fetches audio from any file system to local files, many at once."""

import asyncio
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.core import url_to_fs

from earmark.model.checkpoints.retry import is_about_credentials, is_forbidden, is_from_store, retry_transient
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.text import error_message

# Errors of the machine, not of a row: no space, no memory, no file handles, a broken disk.
MACHINE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS}
)


def fetch_audio(uris: Sequence[str], folder: str, timeout_s: float) -> list[str | RowError]:
    """Return a local path or an error for each uri, in order.

    Local files stay where they are; others are copied into `folder`, in parallel where the file system can, and each
    may take `timeout_s`. Copies by a file system that works one at a time (archives, FTP, SFTP) cannot be interrupted
    from here; the time limit of the child process covers them.

    Raises:
        MachineError: The machine is at fault, not one recording, such as for a full disk or expired credentials.
    """
    results: list[str | RowError] = [""] * len(uris)
    copies: dict[fsspec.AbstractFileSystem, list[_Copy]] = {}  # a file system is one object a host, archive or store
    for index, uri in enumerate(uris):
        if "://" not in uri or uri.startswith("file://"):
            results[index] = _local(uri.removeprefix("file://"))
            continue
        target = str(Path(folder) / f"{index}{PurePosixPath(uri).suffix[:8]}")
        try:
            file_system, source = url_to_fs(uri)
        except (
            ValueError,
            ImportError,
            TypeError,
        ) as error:  # TypeError: more than a URL is needed
            results[index] = RowError("unsupported_scheme", f"{uri!r} cannot be fetched: {error}")
        except Exception as error:  # e.g. a broken archive raises errors of any class; row_error sorts them
            results[index] = row_error(uri, error)
        else:
            copies.setdefault(file_system, []).append(_Copy(index, source, target))
    for file_system, together in copies.items():
        for copy, outcome in zip(together, _copy(file_system, together, timeout_s), strict=True):
            results[copy.index] = copy.target if outcome is None else row_error(uris[copy.index], outcome)
    return results


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file to copy.

    Attributes:
        index: Number of its uri.
        source: Path on its file system.
        target: Local path of the copy.
    """

    index: int
    source: str
    target: str


def _local(path: str) -> str | RowError:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            return RowError("not_a_file", f"{path!r} is a device or a pipe, not a file")
        with open(path, "rb"):
            return os.path.abspath(path)
    except OSError as error:
        return row_error(path, error)


def _copy(
    file_system: fsspec.AbstractFileSystem, copies: Sequence[_Copy], timeout_s: float
) -> list[BaseException | None]:
    if isinstance(file_system, AsyncFileSystem):
        return list(sync(file_system.loop, _copy_together, file_system, copies, timeout_s))
    return [_copy_one(file_system, copy) for copy in copies]


async def _copy_together(
    file_system: AsyncFileSystem, copies: Sequence[_Copy], timeout_s: float
) -> list[BaseException | None]:
    get_file = retry_transient(file_system._get_file)
    # gcsfs would look up the object and list its folder first, which takes longer than the audio itself.
    options = {"concurrency": 1} if "gs" in file_system.protocol else {}

    async def copy_one(copy: _Copy) -> None:
        await asyncio.wait_for(get_file(copy.source, copy.target, **options), timeout_s)

    return list(await asyncio.gather(*map(copy_one, copies), return_exceptions=True))


def _copy_one(file_system: fsspec.AbstractFileSystem, copy: _Copy) -> BaseException | None:
    try:
        retry_transient(file_system.get_file)(copy.source, copy.target)
        if os.path.isdir(copy.target):  # what fsspec makes of a folder
            return IsADirectoryError(errno.EISDIR, "it is a folder")
    except Exception as error:  # each client has its own kinds, as in _copy_together; row_error sorts them
        return error
    return None


def row_error(uri: str, error: BaseException) -> RowError:
    """Turn an error of reading `uri` into the error of its recording.

    Raises:
        MachineError: The machine is at fault, not the recording.
    """
    reason = error_message(error)
    # A web page that needs a login is a wrong address; a store that rejects this machine's credentials is not.
    if not uri.startswith(("http://", "https://")) and is_about_credentials(error):
        raise MachineError(f"no valid credentials to read {uri!r} ({reason}); sign in again on this machine") from error
    if isinstance(error, MemoryError) or (_errno(error) in MACHINE_ERRNOS and not is_from_store(error)):
        message = f"this machine cannot continue: reading {uri!r} failed ({reason}); check its memory and disks"
        raise MachineError(message) from error
    if isinstance(error, FileNotFoundError):
        return RowError("not_found", f"there is no {uri!r}; look at the manifest, or --audio_root")
    if is_forbidden(error):
        return RowError("permission_denied", f"no permission to read {uri!r}")
    if isinstance(error, IsADirectoryError):
        return RowError("not_a_file", f"{uri!r} is a folder; name the files in it")
    if isinstance(error, TimeoutError):
        return RowError("fetch_timeout", f"{uri!r} did not arrive in time; see --recording_timeout_s")
    return RowError("fetch_failed", f"{uri!r} could not be read: {reason}")


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None
