"""The options of `earmark export`, and its result."""

from dataclasses import dataclass

from earmark.reporting.export.formats import FORMATS
from earmark.schemas.errors import JobError


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options by the names of the flags.

    Attributes:
        where: Condition that rows pass, "" for all rows.
        task: Names of the tasks whose answers are written; empty for all tasks of the output.
    """

    format: str
    where: str = ""
    task: tuple[str, ...] = ()

    def check(self, to: str) -> None:
        """Raises JobError for an unknown format, or a `to` that has another suffix than the format."""
        if self.format not in FORMATS:
            raise JobError(f"--format={self.format} does not work: choose from {', '.join(FORMATS)}")
        suffix = FORMATS[self.format].suffix
        if not to.endswith(suffix):
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
    """The result of an export.

    Attributes:
        of: Number of annotations in the output.
        rows: Number of annotations written.
        unknown: Number of annotations not written because the condition is NULL for them.
        left_out: Number of recordings that could not be exported, by cause; `examples` are the first.
        in_containers: Number of annotations written whose audio is in a tar or a Parquet file, where other programs do
            not find it.
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
