"""Audio objects of any file system at local paths, many at once."""

import asyncio
import errno
import os
import stat
from collections.abc import Sequence
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
    remote: list[int] = []
    for index, uri in enumerate(uris):
        if "://" in uri and not uri.startswith("file://"):
            remote.append(index)
        else:
            results[index] = _local(uri.removeprefix("file://"))
    by_scheme: dict[str, list[int]] = {}
    for index in remote:
        by_scheme.setdefault(uris[index].partition("://")[0], []).append(index)
    for indices in by_scheme.values():
        targets = [str(Path(folder) / f"{index}{PurePosixPath(uris[index]).suffix[:8]}") for index in indices]
        copied = _copy([uris[index] for index in indices], targets, timeout_s)
        for index, result in zip(indices, copied, strict=True):
            results[index] = result
    return results


def _local(path: str) -> str | RowError:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return RowError("not_a_file", f"{path!r} is a folder; name the files in it")
        if not stat.S_ISREG(mode):
            return RowError("not_a_file", f"{path!r} is a device or a pipe, not a file")
        with open(path, "rb"):
            return os.path.abspath(path)
    except OSError as error:
        return _row_error(path, error)


def _copy(uris: Sequence[str], targets: Sequence[str], timeout_s: float) -> list[str | RowError]:
    try:
        file_system, _ = url_to_fs(uris[0])
    except (ValueError, ImportError) as error:
        return [RowError("unsupported_scheme", f"{uri!r} cannot be fetched: {error}") for uri in uris]
    pairs = list(zip([file_system._strip_protocol(uri) for uri in uris], targets, strict=True))
    if isinstance(file_system, AsyncFileSystem):
        outcomes = sync(file_system.loop, _copy_together, file_system, pairs, timeout_s)
    else:
        outcomes = [_copy_one(file_system, source, target) for source, target in pairs]
    return [
        target if outcome is None else _row_error(uri, outcome)
        for uri, target, outcome in zip(uris, targets, outcomes, strict=True)
    ]


async def _copy_together(
    file_system: AsyncFileSystem, pairs: Sequence[tuple[str, str]], timeout_s: float
) -> list[BaseException | None]:
    copies = (asyncio.wait_for(file_system._get_file(source, target), timeout_s) for source, target in pairs)
    return list(await asyncio.gather(*copies, return_exceptions=True))


def _copy_one(file_system: fsspec.AbstractFileSystem, source: str, target: str) -> BaseException | None:
    try:
        file_system.get_file(source, target)
    except OSError as error:
        return error
    return None


def _row_error(uri: str, error: BaseException) -> RowError:
    """What an exception of a file system means for the recording; raised on where it is not about the recording."""
    if isinstance(error, FileNotFoundError):
        return RowError("not_found", f"there is no {uri!r}")
    if isinstance(error, PermissionError):
        return RowError("permission_denied", f"no permission to read {uri!r}")
    if isinstance(error, TimeoutError):
        return RowError("fetch_timeout", f"{uri!r} did not arrive in time; see --recording_timeout_s")
    if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS:
        raise error
    if isinstance(error, OSError) or type(error).__module__.startswith(("aiohttp", "gcsfs", "botocore")):
        return RowError("fetch_failed", f"{uri!r} could not be read: {error or type(error).__name__}")
    raise error
