"""Rows of a tar of audio as WebDataset writes it.

`a/000.flac`, `a/000.json` and `a/000.txt` are one sample: the row of the audio, with the object's names as columns and
the text in the column `txt`. Where names hold more dots, `000.left.flac` takes `000.left.json`, else `000.json`.
"""

import logging
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.locations import ContainedName, TarLocation, member_uri
from earmark.schemas.manifest import ManifestRow, ManifestShape, json_object
from earmark.schemas.text import counted
from earmark.transforms.containers.container_file import ContainerFile, find_container
from earmark.transforms.containers.tar_index import index_members, indexed_members
from earmark.transforms.containers.tar_members import (
    TEXT_SUFFIXES,
    Member,
    is_audio_member,
    is_text_member,
    read_members,
)
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import wrap_storage_errors

log = logging.getLogger("earmark")


def tar_rows(tar: str, shape: ManifestShape, store: OutputStore | None) -> Iterator[ManifestRow]:
    """Recordings of a tar, in order. A member that is damaged or no plain file is a row with a problem.

    Args:
        store: Output that keeps an index of the tar for the next run; None to read the tar itself.

    Raises:
        JobError: It is no tar.
        OSError: It cannot be read.
    """
    if column := dict(shape.columns).get("audio"):
        raise JobError(f"--columns audio={column} does not work for {tar}: a tar's members are the audio; leave it out")
    with wrap_storage_errors():
        container = find_container(tar)
    members = read_members(tar, container) if store is None else index_members(store, tar, container)
    yield from _rows(tar, container, members)


def locate_member(name: ContainedName, shape: ManifestShape, store: OutputStore | None) -> TarLocation | None:
    """Location of an annotated member; None if no member has that name, or no store may keep an index."""
    if store is None:
        return None
    tar = name.container
    container = find_container(tar)
    members = indexed_members(store, tar, container)
    if members is None:
        members = read_members(tar, container)
    same_name = [member for member in members if member.name == name.member and not member.problem]
    return _location(tar, container, same_name[-1]) if same_name else None  # the last replaces those before it


def _location(tar: str, container: ContainerFile, member: Member) -> TarLocation:
    suffix = posixpath.splitext(member.name)[1].lower()
    return TarLocation(tar, container.version, member.start, member.size_bytes, suffix)


def _rows(tar: str, container: ContainerFile, members: list[Member]) -> Iterator[ManifestRow]:
    beside = {member.name: member for member in members if is_text_member(member.name)}  # the last of a name
    used: set[str] = set()
    left_out = 0
    for member in members:
        if is_text_member(member.name):
            continue
        if member.problem:
            yield ManifestRow(tar, member.number, {}, member.problem, _uri(tar, member.name))
        elif not is_audio_member(member.name):
            left_out += 1
        else:
            texts = _texts_beside(member.name, beside)
            used.update(text.name for text in texts)
            values, problem = _values(texts)
            location = _location(tar, container, member)
            yield ManifestRow(tar, member.number, values, problem, _uri(tar, member.name), location)
    for member in (text for name, text in beside.items() if name not in used):
        if member.problem or member.name.endswith(".json"):
            problem = member.problem or f"{member.name} has no audio beside it: a file of that name with another suffix"
            yield ManifestRow(tar, member.number, {}, problem, _uri(tar, member.name))
        else:
            left_out += 1
    if left_out:
        log.warning("left out of %s: %s, neither audio nor text beside audio", tar, counted(left_out, "member"))


def _uri(tar: str, member: str) -> str:
    return member_uri("tar", tar, member) if member else tar


def _texts_beside(name: str, beside: Mapping[str, Member]) -> list[Member]:
    """Texts that belong to a member of audio: at most one with each suffix."""
    folder, base = posixpath.split(name)
    stems = [posixpath.join(folder, stem) for stem in (posixpath.splitext(base)[0], base.partition(".")[0])]
    texts = (next((beside[s + suffix] for s in stems if s + suffix in beside), None) for suffix in TEXT_SUFFIXES)
    return [text for text in texts if text is not None]


def _values(texts: list[Member]) -> tuple[dict[str, Any], str]:
    """Columns from the texts of a sample, and the problem of the first text that cannot be read."""
    values: dict[str, Any] = {}
    for member in texts:
        problem = member.problem
        if not problem and member.name.endswith(".txt"):
            values.setdefault("txt", member.text.strip())
        elif not problem:
            columns, problem = json_object(member.text, member.name)
            values |= columns
        if problem:
            return {}, problem
    return values, ""
