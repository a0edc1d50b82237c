"""ExportJob: the rows of an export and its target, the argument of the writer of every format."""

from dataclasses import dataclass

import pyarrow as pa

from earmark.reporting.export.formats import ExportFormat
from earmark.reporting.export.target import Target
from earmark.reporting.provenance import Provenance
from earmark.schemas.job_description import AskedTask
from earmark.transforms.output.store import OutputStore


@dataclass(frozen=True)
class ExportJob:
    """An export.

    Attributes:
        where: Condition that the rows pass, "" for none.
        tasks: Tasks whose answers are written.
        schema: Schema of the annotations.
    """

    store: OutputStore
    target: Target
    format: ExportFormat
    where: str
    provenance: Provenance
    tasks: tuple[AskedTask, ...]
    schema: pa.Schema

    @property
    def language(self) -> str:
        """Language of the job's recordings; "" where the job named none."""
        return self.provenance.job.language
