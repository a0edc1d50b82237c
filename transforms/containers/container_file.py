"""A file that holds the audio of many recordings: its path, size and version in its file system."""

from dataclasses import dataclass

import fsspec
from fsspec.core import url_to_fs

from earmark.model.checkpoints.copy_from_store import VERSIONS
from earmark.model.checkpoints.retry import retry_transient


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """A container in its file system.

    Attributes:
        version: Size and, where the file system has one, a version, which changes with the content.
    """

    file_system: fsspec.AbstractFileSystem
    path: str
    size_bytes: int
    version: str

    @property
    def has_version(self) -> bool:
        """Whether the version is more than the size."""
        return self.version != f"{self.size_bytes} "


@retry_transient
def find_container(uri: str) -> ContainerFile:
    """Look up the container at a path or URL in its file system, never in a cached listing.

    Raises:
        OSError: The file system does not know the size of the file.
        Exception: Whatever the file system raises.
    """
    file_system, path = url_to_fs(uri, use_listings_cache=False)
    info = file_system.info(path)
    if info.get("size") is None:
        raise OSError(f"the server of {uri} does not say how long it is; copy it to where its parts can be read")
    version = next((f"{info[key]}" for keys in VERSIONS for key in keys if info.get(key)), "")
    return ContainerFile(file_system, path, info["size"], f"{info['size']} {version}")
