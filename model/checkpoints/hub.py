"""Repositories of the Hugging Face hub: fetched to this machine, or looked up in the hub's cache on it."""

from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub.errors import HFValidationError

from earmark.model.checkpoints.files import FILES

# The hub's client passes on what its HTTP client raises, a lost connection for one; OSError covers its disk and what is
# not in the cache. Its storage client hf_xet raises RuntimeError for everything but missing files and rights.
HUB_ERRORS = (httpx2.HTTPError, HFValidationError, OSError, RuntimeError)


def fetch_snapshot(hub_id: str) -> Path:
    """The folder with the files that engines read, fetched where the cache lacks them; its name is the commit.

    Args:
        hub_id: owner/name or owner/name@revision; without a revision, the current commit.

    Raises:
        One of HUB_ERRORS.
    """
    repository, revision = _split(hub_id)
    return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))


def cached_snapshot(hub_id: str) -> Path | None:
    """The same folder if the cache has it whole, else None; the hub is not contacted."""
    repository, revision = _split(hub_id)
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision, allow_patterns=list(FILES), local_files_only=True
        )
    except (HFValidationError, OSError):  # OSError includes what is not in the cache
        return None
    return Path(folder)


def list_file_sizes(hub_id: str, timeout_s: float) -> dict[str, int]:
    """Bytes of each file of a repository, by its path there; raises one of HUB_ERRORS."""
    repository, revision = _split(hub_id)
    info = huggingface_hub.HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=timeout_s)
    return {file.rfilename: file.size or 0 for file in info.siblings or ()}


def first_line(error: Exception) -> str:
    """The first line of a hub error's message, whose other lines are advice to programmers; else its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _split(hub_id: str) -> tuple[str, str | None]:
    repository, _, revision = hub_id.partition("@")
    return repository, revision or None
