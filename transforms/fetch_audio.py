"""Audio objects of any file system at local paths, many at once."""

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

from schemas.errors import RowError

# Of the machine, not of a row: no space, no memory, no file handles, a broken disk.
MACHINE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS}
)


def fetch_audio(uris: Sequence[str], folder: str, timeout_s: float) -> list[str | RowError]:
    """A local path, or why there is none, for each uri, in order.

    Local files stay where they are; others are copied into `folder`, side by side where the file system can. Each
    copy may take `timeout_s`. Raises OSError for what is the machine's fault, such as a full disk.
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
        except (ValueError, ImportError, TypeError) as error:  # TypeError: it wants more than a URL can say
            results[index] = RowError("unsupported_scheme", f"{uri!r} cannot be fetched: {error}")
        except OSError as error:
            results[index] = _row_error(uri, error)
        else:
            copies.setdefault(file_system, []).append(_Copy(index, source, target))
    for file_system, together in copies.items():
        for copy, outcome in zip(together, _copy(file_system, together, timeout_s), strict=True):
            results[copy.index] = copy.target if outcome is None else _row_error(uris[copy.index], outcome)
    return results


@dataclass(frozen=True, slots=True)
class _Copy:
    """The uri at `index` is at `source` of its file system, and goes to the local path `target`."""

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
        return _row_error(path, error)


def _copy(
    file_system: fsspec.AbstractFileSystem, copies: Sequence[_Copy], timeout_s: float
) -> list[BaseException | None]:
    if isinstance(file_system, AsyncFileSystem):
        return list(sync(file_system.loop, _copy_together, file_system, copies, timeout_s))
    return [_copy_one(file_system, copy) for copy in copies]


async def _copy_together(
    file_system: AsyncFileSystem, copies: Sequence[_Copy], timeout_s: float
) -> list[BaseException | None]:
    running = (asyncio.wait_for(file_system._get_file(copy.source, copy.target), timeout_s) for copy in copies)
    return list(await asyncio.gather(*running, return_exceptions=True))


def _copy_one(file_system: fsspec.AbstractFileSystem, copy: _Copy) -> BaseException | None:
    try:
        file_system.get_file(copy.source, copy.target)
        if os.path.isdir(copy.target):  # what fsspec makes of a folder
            return IsADirectoryError(errno.EISDIR, "it is a folder")
    except (OSError, ValueError) as error:
        return error
    return None


def _row_error(uri: str, error: BaseException) -> RowError:
    """What an exception of a file system means for the recording; raised on where it is not about the recording."""
    if isinstance(error, FileNotFoundError):
        return RowError("not_found", f"there is no {uri!r}")
    if isinstance(error, PermissionError):
        return RowError("permission_denied", f"no permission to read {uri!r}")
    if isinstance(error, IsADirectoryError):
        return RowError("not_a_file", f"{uri!r} is a folder; name the files in it")
    if isinstance(error, TimeoutError):
        return RowError("fetch_timeout", f"{uri!r} did not arrive in time; see --recording_timeout_s")
    if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS:
        raise error
    if isinstance(error, OSError | ValueError) or type(error).__module__.startswith(("aiohttp", "gcsfs", "botocore")):
        return RowError("fetch_failed", f"{uri!r} could not be read: {error or type(error).__name__}")
    raise error
