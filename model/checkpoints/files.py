"""The files of a checkpoint that engines read, and the digest that identifies them wherever they are."""

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from earmark.model.families import FAMILIES

# A folder may hold more: other formats, pictures.
FILES = tuple(sorted({pattern for family in FAMILIES for pattern in family.files}))


def is_read(name: str) -> bool:
    """Whether an engine reads files of this name."""
    return any(fnmatchcase(name, pattern) for pattern in FILES)


def folder_digest(folder: Path) -> str:
    """sha256, in hexadecimal, of the names and contents of the files that engines read in a folder."""
    sha256s = {}
    for path in folder.iterdir():
        if is_read(path.name):
            with open(path, "rb") as file:
                sha256s[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return files_digest(sha256s)


def files_digest(sha256s: Mapping[str, str]) -> str:
    """The same digest, from the sha256 of each file by its name."""
    digest = hashlib.sha256()
    for name in sorted(sha256s):
        digest.update(f"{name} {sha256s[name]}\n".encode())
    return digest.hexdigest()
