"""Rows of a tar of audio as WebDataset writes it: read from the headers of its members and the small texts among them.

`a/000.flac`, `a/000.json` and `a/000.txt` are one sample: the row of the audio, with the object's names as columns and
the text in the column `txt`. Where names hold more dots, `000.left.flac` takes `000.left.json`, else `000.json`.
"""

import logging
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from schemas.errors import JobError
from schemas.manifest import ManifestRow, ManifestShape, json_object
from schemas.places import TarPlace
from transforms.container_file import ContainerFile, find_container
from transforms.file_system import storage_errors
from transforms.find_manifests import is_audio

log = logging.getLogger("earmark")
MAX_TEXT_BYTES = 2**20  # of a JSON object or a text, as of a line of a manifest, and of a header that names a member
# What is read at once on a remote file system: a request takes as long as the transfer of one to three MB there.
LOOK_AHEAD_BYTES = 2**20
TEXT_SUFFIXES = (".json", ".txt")


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a tar by its number, from 1. `text`: of a small text; `problem`: why there is no audio or text."""

    number: int
    name: str
    start: int = 0
    size_bytes: int = 0
    text: str = ""
    problem: str = ""


def tar_rows(tar: str, shape: ManifestShape) -> Iterator[ManifestRow]:
    """The recordings of a tar, in order. What is damaged or no plain file is a row with a problem.

    Raises:
        JobError: it is no tar.
        OSError: it cannot be read.
    """
    if column := dict(shape.columns).get("audio"):
        raise JobError(f"--columns audio={column} does not work for {tar}: a tar's members are the audio; leave it out")
    with storage_errors():
        container = find_container(tar)
        with container.file_system.open(container.path, "rb", block_size=LOOK_AHEAD_BYTES) as file:
            members = list(_members(tar, _Reads(file), container.size_bytes))
    yield from _rows(tar, container, members)


def _rows(tar: str, container: ContainerFile, members: list[_Member]) -> Iterator[ManifestRow]:
    beside = {member.name: member for member in members if _is_text(member.name)}  # the last of a name stands
    used: set[str] = set()
    left_out = 0
    for member in members:
        if _is_text(member.name):
            continue
        if member.problem:
            yield ManifestRow(tar, member.number, {}, member.problem, _uri(tar, member.name))
        elif not _is_audio(member.name):
            left_out += 1
        else:
            texts = _texts_beside(member.name, beside)
            used.update(text.name for text in texts)
            values, problem = _values(texts)
            suffix = posixpath.splitext(member.name)[1].lower()
            place = TarPlace(tar, container.version, member.start, member.size_bytes, suffix)
            yield ManifestRow(tar, member.number, values, problem, _uri(tar, member.name), place)
    for member in beside.values():
        if member.name.endswith(".json") and member.name not in used:
            problem = (
                f"{member.name} has no audio beside it; looked for a name like it with the suffix of an audio file"
            )
            yield ManifestRow(tar, member.number, {}, problem, _uri(tar, member.name))
        left_out += member.name.endswith(".txt") and member.name not in used
    if left_out:
        log.warning("%d members of %s are neither audio nor text beside audio, and are left out", left_out, tar)


def _uri(tar: str, member: str) -> str:
    """As fsspec names a member of a tar; the tar itself where there is no member."""
    return f"tar://{member}::{tar if '://' in tar else f'file://{tar}'}" if member else tar


def _is_audio(name: str) -> bool:
    return is_audio(name) and not _is_hidden(name)


def _is_text(name: str) -> bool:
    return name.endswith(TEXT_SUFFIXES) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """As the `._000.flac` that a Mac puts beside `000.flac`, which is no audio."""
    return posixpath.basename(name).startswith(".")


def _texts_beside(name: str, beside: Mapping[str, _Member]) -> list[_Member]:
    """The texts of the audio's sample: at most one of each kind."""
    folder, base = posixpath.split(name)
    stems = [posixpath.join(folder, stem) for stem in (posixpath.splitext(base)[0], base.partition(".")[0])]
    found = (next((beside[s + suffix] for s in stems if s + suffix in beside), None) for suffix in TEXT_SUFFIXES)
    return [text for text in found if text is not None]


def _values(texts: list[_Member]) -> tuple[dict[str, Any], str]:
    """Columns from the texts of a sample, and what is wrong with the first that is no good."""
    values: dict[str, Any] = {}
    for member in texts:
        problem = member.problem
        if not problem and member.name.endswith(".txt"):
            values.setdefault("txt", member.text.strip())
        elif not problem:
            found, problem = json_object(member.text, member.name)
            values |= found
        if problem:
            return {}, problem
    return values, ""


def _members(tar: str, file: "_Reads", size_bytes: int) -> Iterator[_Member]:
    """The members but for folders; the last has a problem where the tar goes on and cannot be read there."""
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
        problem = " ".join(f"{error}".split()) or type(error).__name__
    if problem and not number:
        raise JobError(f"manifest {tar} is no tar that can be read: {problem}")
    if problem:
        problem = f"what comes after member {number} of the tar is lost ({problem}); write the tar again"
        yield _Member(number + 1, "", problem=problem)


_CUT = "the tar is cut short"


def _member(number: int, info: tarfile.TarInfo, file: "_Reads", size_bytes: int) -> _Member:
    name = info.name
    if not (_is_audio(name) or _is_text(name)):
        return _Member(number, name)
    if not info.isreg() or info.issparse():
        return _Member(number, name, problem=f"{name} is a link, a device or a sparse file, not a plain file")
    if info.offset_data + info.size > size_bytes:
        missing = info.offset_data + info.size - size_bytes
        return _Member(number, name, problem=f"{_CUT}: {missing} of the {info.size} bytes of {name} are missing")
    if _is_audio(name):
        return _Member(number, name, info.offset_data, info.size)
    if info.size > MAX_TEXT_BYTES:
        return _Member(number, name, problem=f"{name} has {info.size} bytes, more than {MAX_TEXT_BYTES}")
    file.seek(info.offset_data)
    try:
        return _Member(number, name, text=file.read(info.size).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _Member(number, name, problem=f"{name} is not UTF-8: {error.reason} at byte {error.start}")


class _Reads:
    """A file for tarfile: what its store raises is a StorageError, and no header is so long that memory ends."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def read(self, size: int) -> bytes:
        if size > MAX_TEXT_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        with storage_errors():
            return self._file.read(size)

    def seek(self, position: int) -> None:
        with storage_errors():
            self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()
