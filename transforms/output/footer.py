"""The metadata in the Parquet footer of a part: the run that made it, its failures, and the parts that it replaces."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.parquet as pq

from earmark.schemas.records import Failure, PartReport

METADATA_KEY = b"earmark"  # of the footer: a JSON object with the fields of PartFooter


@dataclass(frozen=True, slots=True)
class Origin:
    """A part that a run wrote, and that may have been merged into another since.

    Attributes:
        key: Key of its shard.
        run_id: Id of the run that wrote it.
        fingerprint: Fingerprint of the run's JobDescription.
        annotated: Number of its rows; origins are in the order of the rows of a merged part.
        failed: Number of its failures; origins are in the order of the failures of a merged part.
    """

    key: str
    run_id: str
    fingerprint: str
    annotated: int
    failed: int


@dataclass(frozen=True, slots=True)
class PartFooter:
    """Origin and failures of a part.

    Attributes:
        run_id: Id of the run that wrote the part, or of the compaction that merged it.
        key: Key of the shard, or a hash of the keys of all origins.
        fingerprint: Fingerprint of the JobDescription; "" in a merged part, where each origin has its own.
        failures: Failures of the part's recordings.
        origins: Parts whose rows are in a merged part; empty in a part that a run wrote.
        merged: Paths of earlier merged parts whose rows are in this part.
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
        """Parts whose rows are in this one: the part itself if a run wrote it."""
        itself = Origin(self.key, self.run_id, self.fingerprint, annotated, len(self.failures))
        return self.origins or (itself,)
