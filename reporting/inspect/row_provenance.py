"""Provenance of one annotation or one failure of an output."""

import dataclasses
from dataclasses import dataclass

from earmark.reporting.inspect.find_row import FoundRow
from earmark.reporting.provenance import read_run
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from earmark.schemas.manifest import ManifestShape
from earmark.transforms.output.store import OutputStore


@dataclass(frozen=True, slots=True)
class RowProvenance:
    """Provenance of an annotation or a failure. All fields after `compaction` are empty if the run has no description.

    Attributes:
        part: Path of the part in the output; "" for a row of a manifest that cannot be read, which is in no part.
        part_key: Key of the part as the run wrote it; "" where `part` is "".
        fingerprint: Hash of the description of the run's job.
        is_of_this_job: Whether `_earmark/job.json` has the same fingerprint.
        compaction: Run id of the compaction that merged the part; "" for none.
        host: Name of the machine that launched the run.
        earmark: Version of earmark.
        models: Values of --model.
        columns: Values of --columns.
        audio_root: Value of --audio_root.
    """

    run_id: str
    part: str
    part_key: str
    fingerprint: str
    is_of_this_job: bool
    compaction: str
    manifests: tuple[str, ...] = ()
    host: str = ""
    earmark: str = ""
    models: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    audio_root: str = ""

    @property
    def shape(self) -> ManifestShape:
        """Shape of a manifest that holds the audio itself."""
        return JobOptions(columns=self.columns, audio_root=self.audio_root).shape()


def row_provenance(store: OutputStore, row: FoundRow, job: JobDescription) -> RowProvenance:
    """Return what wrote `row`.

    Raises:
        JobError: The description of the run is damaged.
        OSError: It cannot be read.
    """
    if row.origin is not None:
        origin = row.origin
        same_job = origin.fingerprint == job.fingerprint
        provenance = RowProvenance(origin.run_id, row.part, origin.key, origin.fingerprint, same_job, row.compaction)
    else:
        assert row.failure is not None, "an annotation is always in a part"
        provenance = RowProvenance(row.failure.run_id, "", "", job.fingerprint, True, "")
    run = read_run(store, provenance.run_id)
    if run is None:
        return provenance
    return dataclasses.replace(
        provenance,
        manifests=run.manifests,
        host=run.host,
        earmark=dict(run.libraries).get("earmark", ""),
        models=run.models,
        columns=run.columns,
        audio_root=run.audio_root,
    )
