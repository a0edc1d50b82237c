"""What `earmark export` is asked for."""

from dataclasses import dataclass

from earmark.schemas.errors import JobError

FORMATS = ("nemo", "hf", "vtt", "srt", "lhotse", "csv")
# Of a format that is one file; the others are folders.
SUFFIXES = {"nemo": ".jsonl", "csv": ".csv"}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`where`: a condition that rows must meet, "" for all; `task`: whose answers, none for all of the output."""

    format: str
    where: str = ""
    task: tuple[str, ...] = ()

    def check(self, to: str) -> None:
        """Raises JobError where the format is none, or `to` cannot be what it is named."""
        if self.format not in FORMATS:
            raise JobError(f"--format={self.format} does not work: choose from {', '.join(FORMATS)}")
        suffix = SUFFIXES.get(self.format)
        if suffix and not to.endswith(suffix):
            raise JobError(f"{to} does not work: {self.format} is one file, so name it {suffix}")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording that could not be exported, and why."""

    id: str
    uri: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Exported:
    """How an export ended.

    Attributes:
        of: annotations of the output.
        rows: of them, written.
        unknown: of them, not written because the condition is NULL for them.
        left_out: of them, not written because of themselves, by cause; `examples` are the first.
        in_containers: of those written, recordings in a tar or a Parquet file, whose audio other programs do not find.
    """

    output: str
    to: str
    format: str
    of: int
    rows: int
    unknown: int
    left_out: dict[str, int]
    examples: tuple[LeftOut, ...]
    in_containers: int
