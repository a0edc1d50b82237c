"""Engines of other packages, found and identified by their entry points.

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
    """An engine of another package with its argument.

    Attributes:
        name: Name as the user gave it, "NAME:ARGUMENT".
        entry_point: Name of its entry point in the group GROUP.
        distribution, version: Package that has the entry point, and its version.
        argument: Argument of the engine: a folder, a hub id, or anything else that the package understands.
        content: Digest of the folder or file that the argument names; "" where it names none.
        machine: Host on which the engine was found.
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
        """Package, version and argument, which identify it wherever its files are."""
        argument = f"sha256:{self.content}" if self.content else repr(self.argument)
        return f"entry point {self.entry_point} of {self.distribution} {self.version} with {argument}"


def is_own_engine(name: str) -> bool:
    """Whether a name of --model has the shape NAME:ARGUMENT; a folder of that very name is a folder."""
    return bool(NAMED.fullmatch(name)) and not Path(name).is_dir()


def find_own_engine(name: str) -> OwnEngine:
    """The engine of that name, which is not imported yet.

    Raises:
        JobError: No package has it, or several do, or its folder cannot be read.
    """
    parts = NAMED.fullmatch(name)
    if parts is None:
        raise JobError(f"--model={name} does not name an engine; write NAME:ARGUMENT")
    point = entry_point(name, parts["entry_point"])
    assert point.dist is not None  # entry points of installed packages have one
    argument = parts["argument"]
    try:
        content = content_digest(Path(argument).expanduser()) if argument else ""
    except OSError as error:
        raise JobError(f"--model={name}: {argument} cannot be read: {error}") from error
    return OwnEngine(name, point.name, point.dist.name, point.dist.version, argument, content)


def entry_point(model: str, name: str) -> EntryPoint:
    """The one entry point of that name that is installed; `model` is the value of --model.

    Raises:
        JobError: No package has it, or several do.
    """
    installed = importlib.metadata.entry_points(group=GROUP)
    matching = [point for point in installed if point.name == name]
    if not matching:
        names = ", ".join(sorted({point.name for point in installed})) or "none"
        raise JobError(
            f"--model={model}: no package on {socket.gethostname()} has an engine called {name} (entry point group"
            f" {GROUP}; installed: {names}); install the package that has it, or name a folder, a URL or a hub id"
        )
    if len(matching) > 1:
        packages = " and ".join(sorted(point.dist.name if point.dist else "?" for point in matching))
        raise JobError(f"--model={model}: {packages} both have an engine called {name}; uninstall one")
    return matching[0]


def content_digest(path: Path) -> str:
    """sha256, in hexadecimal, over the names and contents of all files below a folder, or of one file; "" for neither.

    Hidden files and compiled Python are left out: both change without the model.
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
