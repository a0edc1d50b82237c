"""Members of a tar that are audio or belong to it, from the tar's headers; only small texts are read themselves."""

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import JobError
from earmark.schemas.text import error_message
from earmark.transforms.containers.container_file import ContainerFile
from earmark.transforms.storage.audio_suffixes import AUDIO_SUFFIXES
from earmark.transforms.storage.file_system import wrap_storage_errors

MAX_TEXT_BYTES = 2**20  # of a JSON object, a text or a header that names a member; as a line of a manifest
# Bytes per request to a remote file system, where a request takes as long as the transfer of one to three MB.
LOOK_AHEAD_BYTES = 2**20
TEXT_SUFFIXES = (".json", ".txt")
_CUT = "the tar is cut short"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a tar.

    Attributes:
        number: Number of the member in the tar, from 1.
        start: Offset of its bytes from the start of the tar.
        text: Content of a small text file; "" for other members.
        problem: Why the member cannot be used; "" if it can.
    """

    number: int
    name: str
    start: int = 0
    size_bytes: int = 0
    text: str = ""
    problem: str = ""


def is_audio_member(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in AUDIO_SUFFIXES and not _is_hidden(name)


def is_text_member(name: str) -> bool:
    return name.endswith(TEXT_SUFFIXES) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """Whether the name starts with a dot, as `._000.flac`, which a Mac puts beside `000.flac` and is no audio."""
    return posixpath.basename(name).startswith(".")


@retry_transient
def read_members(tar: str, container: ContainerFile) -> list[Member]:
    """Members of a tar except folders; the last has a problem if the tar cannot be read to its end.

    Raises:
        JobError: It is no tar.
        OSError: It cannot be read.
    """
    with (
        wrap_storage_errors(),
        container.file_system.open(container.path, "rb", block_size=LOOK_AHEAD_BYTES) as file,
    ):
        return list(_members(tar, _BoundedFile(file), container.size_bytes))


def _members(tar: str, file: "_BoundedFile", size_bytes: int) -> Iterator[Member]:
    number = 0
    try:
        archive = tarfile.TarFile(fileobj=file, encoding="utf-8")  # type: ignore[arg-type]  # reads, seeks and tells
        while info := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # where tarfile would keep them all
            number += 1
            if info.isdir():
                continue
            member = _member(number, info, file, size_bytes)
            yield member
            if member.problem.startswith(_CUT):
                return
        file.seek(archive.offset)
        problem = "the next header is damaged" if file.read(tarfile.BLOCKSIZE).strip(b"\0") else ""
    except OSError:
        raise
    except Exception as error:  # tarfile raises anything for a hostile header, which costs what comes after it
        problem = error_message(error)
    if problem and not number:
        raise JobError(f"manifest {tar} is no tar that can be read: {problem}")
    if problem:
        problem = f"what comes after member {number} of the tar is lost ({problem}); write the tar again"
        yield Member(number + 1, "", problem=problem)


def _member(number: int, info: tarfile.TarInfo, file: "_BoundedFile", size_bytes: int) -> Member:
    name = info.name
    if not (is_audio_member(name) or is_text_member(name)):
        return Member(number, name)
    if not info.isreg() or info.issparse():
        return Member(number, name, problem=f"{name} is a link, a device or a sparse file, not a plain file")
    if info.offset_data + info.size > size_bytes:
        missing = info.offset_data + info.size - size_bytes
        return Member(number, name, problem=f"{_CUT}: {missing} of the {info.size} bytes of {name} are missing")
    if is_audio_member(name):
        return Member(number, name, info.offset_data, info.size)
    if info.size > MAX_TEXT_BYTES:
        return Member(number, name, problem=f"{name} has {info.size} bytes, more than {MAX_TEXT_BYTES}")
    file.seek(info.offset_data)
    try:
        return Member(number, name, text=file.read(info.size).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Member(number, name, problem=f"{name} is not UTF-8: {error.reason} at byte {error.start}")


class _BoundedFile:
    """A file for tarfile whose store's errors are StorageErrors, and that refuses headers that would fill memory."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def read(self, size: int) -> bytes:
        if size > MAX_TEXT_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        with wrap_storage_errors():
            return self._file.read(size)

    def seek(self, position: int) -> None:
        with wrap_storage_errors():
            self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()
