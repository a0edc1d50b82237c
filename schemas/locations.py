"""Audio inside containers: how the uri of a recording names it, and where its bytes are.

A new container brings its location here, and its rows and its unpacking in transforms/containers/.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

# Bytes of a tar that one shard reads in a row, roughly: the audio of a shard of short clips.
TAR_PIECE_BYTES = 64 * 2**20
_ROW = re.compile(r"(?P<container>.+\.(?i:parquet))#row=(?P<row>\d+)", re.DOTALL)
_MEMBER = re.compile(r"\w+://(?P<member>.+?)::(?P<container>.+)", re.DOTALL)  # a chain of URLs, as fsspec writes it


@dataclass(frozen=True, slots=True)
class ContainedName:
    """Name of a recording in a container, from its uri: a member of an archive, or a row of a table.

    Attributes:
        container: Path or URL of the container.
        member: Name of the member; "" for a row.
        row: Number of the row in the file, from 0; None for a member.
    """

    container: str
    member: str = ""
    row: int | None = None


def contained_name(uri: str) -> ContainedName | None:
    """Return what a uri names in a container, or None if it names a file of its own."""
    if match := _ROW.fullmatch(uri):
        return ContainedName(match["container"], row=int(match["row"]))
    if match := _MEMBER.fullmatch(uri):
        return ContainedName(match["container"].removeprefix("file://"), match["member"])
    return None


def row_uri(container: str, row: int) -> str:
    """Return the uri of a row of a table, numbered from 0: "calls.parquet#row=7"."""
    return f"{container}#row={row}"


def member_uri(protocol: str, container: str, member: str) -> str:
    """Return the uri of a member of an archive, as fsspec writes it: "tar://a.flac::file:///data/calls.tar"."""
    return f"{protocol}://{member}::{container if '://' in container else f'file://{container}'}"


@dataclass(frozen=True, slots=True)
class TarLocation:
    """Location of a recording's bytes in a tar.

    Attributes:
        container: Path or URL of the tar.
        version: Version of the tar in its store when it was planned; a tar of another version is not read.
        start: Offset of the bytes from the start of the tar.
        size_bytes: Number of bytes.
        suffix: Suffix of the member's name, such as ".flac"; some formats are recognized by nothing else.
    """

    container: str
    version: str
    start: int
    size_bytes: int
    suffix: str

    @property
    def position(self) -> tuple[int, int]:
        """Number of the piece of the tar in which the bytes start, and their offset in it."""
        return divmod(self.start, TAR_PIECE_BYTES)

    @property
    def read_unit(self) -> None:
        """Number of the piece that can only be read whole: none, as each member is read alone."""
        return None


@dataclass(frozen=True, slots=True)
class ParquetLocation:
    """Location of a recording's bytes in a Parquet file.

    Attributes:
        container: Path or URL of the file.
        version: Version of the file in its store when it was planned; a file of another version is not read.
        column: Path of the column of bytes, such as "audio.bytes".
        row_group: Number of the row group, from 0.
        row: Number of the row within the row group, from 0.
        size_bytes: Mean over the row group, as a file does not hold the size of each row.
        suffix: Suffix of the file name in the row, such as ".flac"; "" where it has none.
    """

    container: str
    version: str
    column: str
    row_group: int
    row: int
    size_bytes: int
    suffix: str

    @property
    def position(self) -> tuple[int, int]:
        """Number of the row group, and of the row in it."""
        return self.row_group, self.row

    @property
    def read_unit(self) -> int:
        """Number of the piece that can only be read whole: the row group."""
        return self.row_group


AudioLocation: TypeAlias = TarLocation | ParquetLocation
