"""Write a manifest of any content, and read its rows."""

from pathlib import Path

from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Failure, Recording
from earmark.transforms.manifests.find import find_manifests
from earmark.transforms.read_manifest import read_manifests


def write_file(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read_rows(path: Path | str, shape: ManifestShape | None = None, limit: int = 0) -> list[Recording | Failure]:
    """All rows of the manifests at a path or glob."""
    return list(read_manifests(find_manifests(str(path)), shape or ManifestShape(), limit))
