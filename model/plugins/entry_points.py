"""Engines that other packages bring, by their entry points: how they are found, named and told apart.

A package names a class or a function in the entry point group `earmark.engines` (examples/own-engine is one).
"""

import hashlib
import importlib.metadata
import re
import socket
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

from earmark.schemas.errors import JobError

GROUP = "earmark.engines"
# NAME:ARGUMENT; not the start of a URL (gs://, simplecache::), which is a checkpoint's.
NAMED = re.compile(r"(?P<entry_point>[A-Za-z][\w.-]*):(?!//|:)(?P<argument>.*)", re.DOTALL)
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class OwnEngine:
    """An engine of another package, and what it was asked to load.

    Attributes:
        name: what the user called it, "NAME:ARGUMENT".
        entry_point: its name in the group GROUP.
        distribution, version: of the package that brings it.
        argument: what it is called with: a folder, a hub id, whatever the package makes of it.
        content: digest of the folder or file that the argument names; "" where it names none.
        machine: the one where all this was found.
    """

    name: str
    entry_point: str
    distribution: str
    version: str
    argument: str
    content: str
    machine: str = field(default_factory=socket.gethostname)

    @property
    def identity(self) -> str:
        """What names it beyond doubt, wherever its files are."""
        given = f"sha256:{self.content}" if self.content else repr(self.argument)
        return f"entry point {self.entry_point} of {self.distribution} {self.version} with {given}"


def is_own_engine(name: str) -> bool:
    """Whether a name of --model has the shape NAME:ARGUMENT; a folder of that very name is a folder."""
    return bool(NAMED.fullmatch(name)) and not Path(name).is_dir()


def find_own_engine(name: str) -> OwnEngine:
    """The engine that `name` stands for, which is not imported yet.

    Raises:
        JobError: no package brings it, or several do; its folder cannot be read.
    """
    parts = NAMED.fullmatch(name)
    if parts is None:
        raise JobError(f"--model={name} does not name an engine; write NAME:ARGUMENT")
    brought = entry_point(name, parts["entry_point"])
    assert brought.dist is not None  # those that entry_points() finds have one
    argument = parts["argument"]
    try:
        content = content_digest(Path(argument).expanduser()) if argument else ""
    except OSError as error:
        raise JobError(f"--model={name}: {argument} cannot be read: {error}") from error
    return OwnEngine(name, brought.name, brought.dist.name, brought.dist.version, argument, content)


def entry_point(model: str, name: str) -> EntryPoint:
    """The one entry point of that name that is installed here; `model` is what the user gave.

    Raises:
        JobError: there is none, or more than one.
    """
    installed = importlib.metadata.entry_points(group=GROUP)
    found = [one for one in installed if one.name == name]
    if not found:
        names = ", ".join(sorted({one.name for one in installed})) or "none"
        raise JobError(
            f"--model={model}: no package on {socket.gethostname()} brings an engine called {name} (entry point group"
            f" {GROUP}; installed: {names}); install the package that does, or name a folder, a URL or a hub id"
        )
    if len(found) > 1:
        packages = " and ".join(sorted(one.dist.name if one.dist else "?" for one in found))
        raise JobError(f"--model={model}: {packages} both bring an engine called {name}; uninstall one of them")
    return found[0]


def content_digest(path: Path) -> str:
    """sha256, in hexadecimal, over the names and contents of all files below a folder, or of one file; "" for neither.

    What is hidden, and what Python compiled, is left out: both change without the model.
    """
    if path.is_file():
        return _sha256(path)
    if not path.is_dir():
        return ""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inner = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in inner.parts):
            digest.update(f"{inner.as_posix()} {_sha256(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
