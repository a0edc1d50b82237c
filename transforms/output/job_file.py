"""Reads the job of an output from its `_earmark/job.json`."""

import json
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask, JobDescription, check_schema_version
from earmark.transforms.output.store import JOB_PATH, OutputStore


def read_job(store: OutputStore) -> JobDescription:
    """Return the description of the job that made an output.

    Raises:
        JobError: It is not an output of earmark, has another version of the schema, or its description is damaged.
        OSError: It cannot be read.
    """
    try:
        description = json.loads(store.read(JOB_PATH))
        check_schema_version(description, store.root)
        del description["fingerprint"]
        tasks = tuple(AskedTask(**_tuples(task)) for task in description.pop("tasks"))
        return JobDescription(tasks, **description)
    except FileNotFoundError as error:
        raise JobError(f"{store.root} is not an output of earmark: it has no {JOB_PATH}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(f"{store.root}/{JOB_PATH} is damaged ({error!r})") from error


def _tuples(task: dict[str, Any]) -> dict[str, Any]:
    label_map = tuple((model_label, label) for model_label, label in task["label_map"])
    return task | {"labels": tuple(task["labels"]), "label_map": label_map}
