"""What made an output, as its `_earmark/job.json` says."""

import json
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask, JobDescription, check_schema_version
from earmark.transforms.output.store import JOB_PATH, OutputStore


def read_job(store: OutputStore) -> JobDescription:
    """The job that the output is of.

    Raises:
        JobError: there is no output of earmark, of this version of its schema, or its description is damaged.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(store.read(JOB_PATH))
        check_schema_version(found, store.root)
        del found["fingerprint"]
        tasks = tuple(AskedTask(**_tuples(task)) for task in found.pop("tasks"))
        return JobDescription(tasks, **found)
    except FileNotFoundError as error:
        raise JobError(f"{store.root} is not an output of earmark: it has no {JOB_PATH}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(f"{store.root}/{JOB_PATH} is damaged ({error!r})") from error


def _tuples(task: dict[str, Any]) -> dict[str, Any]:
    label_map = tuple((theirs, ours) for theirs, ours in task["label_map"])
    return task | {"labels": tuple(task["labels"]), "label_map": label_map}
