"""What a part of the output says of itself in the footer of its Parquet file: who made it, its failures, and, where it
was merged from others, which parts it stands for."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.parquet as pq

from earmark.schemas.records import Failure, PartReport

METADATA_KEY = b"earmark"  # of the footer: a JSON object with the fields of PartFooter


@dataclass(frozen=True, slots=True)
class Origin:
    """A part as a run wrote it, wherever it is now.

    Attributes:
        key, run_id, fingerprint: as in its own footer.
        annotated, failed: how many rows and failures it brought along; origins are in the order of the rows and of the
            failures.
    """

    key: str
    run_id: str
    fingerprint: str
    annotated: int
    failed: int


@dataclass(frozen=True, slots=True)
class PartFooter:
    """What made a part.

    Attributes:
        run_id: of the run that wrote the rows, or of the compaction that merged the part.
        fingerprint: of the JobDescription; "" in a merged part, where each origin has its own.
        origins: the parts whose rows are in a merged one; none in a part as a run wrote it.
        merged: paths of earlier merged parts whose rows are in this one.
    """

    run_id: str
    key: str
    fingerprint: str
    failures: tuple[Failure, ...]
    origins: tuple[Origin, ...] = ()
    merged: tuple[str, ...] = ()

    @classmethod
    def of(cls, file: pq.FileMetaData) -> "PartFooter":
        """Raises KeyError, TypeError or ValueError for a file that is not a part."""
        about: dict[str, Any] = json.loads((file.metadata or {})[METADATA_KEY])
        return cls(
            about["run_id"],
            about["key"],
            about["fingerprint"],
            tuple(Failure(**failure) for failure in about["failures"]),
            tuple(Origin(**origin) for origin in about.get("origins", ())),
            tuple(about.get("merged", ())),
        )

    def encoded(self) -> dict[bytes, bytes]:
        about = asdict(self)
        if not self.origins:
            del about["origins"], about["merged"]
        return {METADATA_KEY: json.dumps(about).encode()}

    def report(self, annotated: int) -> PartReport:
        return PartReport(self.key, annotated, self.failures)

    def origins_of(self, annotated: int) -> tuple[Origin, ...]:
        """The parts whose rows these are: of a part as a run wrote it, itself."""
        itself = Origin(self.key, self.run_id, self.fingerprint, annotated, len(self.failures))
        return self.origins or (itself,)
