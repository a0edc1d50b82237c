"""Where in a container, a tar or a Parquet file, the bytes of a recording are."""

from dataclasses import dataclass
from typing import TypeAlias

# Bytes that one shard reads of a tar at a stretch, more or less: the audio of a shard of short clips.
TAR_PIECE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class TarLocation:
    """Where in a tar the bytes of a recording are.

    Attributes:
        container: path or URL of the tar.
        version: what the tar's store said of it when it was planned; a tar of another version is not read.
        start: of the bytes, counted from the start of the tar.
        suffix: of the member's name, such as ".flac"; some formats are only known by it.
    """

    container: str
    version: str
    start: int
    size_bytes: int
    suffix: str

    @property
    def position(self) -> tuple[int, int]:
        """The piece of the tar that the bytes start in, and where in it."""
        return divmod(self.start, TAR_PIECE_BYTES)


@dataclass(frozen=True, slots=True)
class ParquetLocation:
    """Where in a Parquet file the bytes of a recording are; `container`, `version` and `suffix` as of a TarLocation.

    Attributes:
        column: path of the column of bytes, such as "audio.bytes".
        row: counted from 0 within the row group.
        size_bytes: the mean of the row group; a file does not say it of each row.
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
        """The piece of the file that the row is in, a row group, and where in it."""
        return self.row_group, self.row


AudioLocation: TypeAlias = TarLocation | ParquetLocation
