"""The kinds of containers: what each file format brings so that recordings can lie in its files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from earmark.schemas.errors import RowError
from earmark.schemas.locations import AudioLocation, ContainedName, ParquetLocation, TarLocation, contained_name
from earmark.schemas.manifest import ManifestRow, ManifestShape
from earmark.transforms.containers.container_file import ContainerFile
from earmark.transforms.containers.parquet_rows import locate_row, parquet_rows
from earmark.transforms.containers.tar_rows import locate_member, tar_rows
from earmark.transforms.containers.unpack_parquet import unpack_parquet
from earmark.transforms.containers.unpack_tar import unpack_tar
from earmark.transforms.output.store import OutputStore


@dataclass(frozen=True, slots=True)
class ContainerKind:
    """A file format that holds the audio of many recordings.

    Attributes:
        suffix: Suffix of its files, without the dot.
        location: Type of its recordings' locations.
        rows: Reads the rows of a container that is given as a manifest. The OutputStore, if any, may keep an index of
            the container for the next run.
        unpack: Writes the bytes at each location to its target; returns each target, or why it could not be written.
        locate: Finds an annotated recording again by its name; None where fsspec opens it by its uri.
    """

    suffix: str
    location: type[AudioLocation]
    rows: Callable[[str, ManifestShape, OutputStore | None], Iterator[ManifestRow]]
    unpack: Callable[[ContainerFile, Sequence[Any], Sequence[str]], list[str | RowError]]
    locate: Callable[[ContainedName, ManifestShape, OutputStore | None], AudioLocation | None]


CONTAINER_KINDS = (
    ContainerKind("parquet", ParquetLocation, parquet_rows, unpack_parquet, locate_row),
    ContainerKind("tar", TarLocation, tar_rows, unpack_tar, locate_member),
)


def kind_of_suffix(suffix: str) -> ContainerKind | None:
    """Return the kind whose files end in `suffix`, in lower case and without the dot."""
    return next((kind for kind in CONTAINER_KINDS if kind.suffix == suffix), None)


def kind_of_location(location: AudioLocation) -> ContainerKind:
    """Return the kind that the container of a location is of."""
    return next(kind for kind in CONTAINER_KINDS if isinstance(location, kind.location))


def locate(uri: str, shape: ManifestShape, store: OutputStore | None = None) -> AudioLocation | None:
    """Find the audio of an annotated recording in its container; None where fsspec opens it by its uri.

    Args:
        shape: Shape of the manifest, which names the column of audio where the manifest holds it.
        store: Output that may keep an index of the container; without it, members of tars are left to fsspec.

    Raises:
        Exception: Of any class, for a container that cannot be read or no longer holds the recording.
    """
    name = contained_name(uri)
    kind = kind_of_suffix(name.container.rpartition(".")[2].lower()) if name else None
    return kind.locate(name, shape, store) if name and kind else None
