"""Checkpoints in a folder, checked as a job checks them before any work."""

from pathlib import Path
from typing import Any

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.source import check_options, check_source
from earmark.schemas.job import JobOptions


def check_model(folder: Path, **options: Any) -> None:
    """Raise a JobError for a checkpoint that is wrong, or that does not support the job."""
    job = JobOptions(device="cpu", **options)
    source = find_checkpoint(str(folder))
    check_options([source], job)
    check_source(source, job, job.tasks(), here=True)
