"""A container of audio, a tar or a Parquet file, as its file system knows it."""

from dataclasses import dataclass

import fsspec
from fsspec.core import url_to_fs

from earmark.model.checkpoints.copy_from_store import VERSIONS
from earmark.model.checkpoints.retry import retry_transient


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """`version`: its size and what the file system calls a version; another content has another, as far as it tells."""

    file_system: fsspec.AbstractFileSystem
    path: str
    size_bytes: int
    version: str

    @property
    def says_version(self) -> bool:
        """Whether the version is more than the size."""
        return self.version != f"{self.size_bytes} "


@retry_transient
def find_container(uri: str) -> ContainerFile:
    """Asks the file system, never a listing that it keeps, for the container at a path or URL.

    Raises:
        OSError: it does not say how long the file is; and whatever the file system raises.
    """
    file_system, path = url_to_fs(uri, use_listings_cache=False)
    info = file_system.info(path)
    if info.get("size") is None:
        raise OSError(f"the server of {uri} does not say how long it is; copy it to where its parts can be read")
    version = next((f"{info[key]}" for keys in VERSIONS for key in keys if info.get(key)), "")
    return ContainerFile(file_system, path, info["size"], f"{info['size']} {version}")
