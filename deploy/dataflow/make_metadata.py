"""Writes metadata.json, the parameters of the Flex Template, from the options of earmark.

python -m deploy.dataflow.make_metadata
"""

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

from earmark.schemas.job import JobOptions

PATH = Path(__file__).with_name("metadata.json")
NUMBERS = {int: r"^[0-9]+$", float: r"^[0-9]+(\.[0-9]+)?$"}

# Parameters for which `gcloud dataflow flex-template run` has no flag.
DATAFLOW = (
    (
        "dataflow_service_options",
        "GPUs of each machine: worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
        str,
    ),
    (
        "experiments",
        "no_use_multiple_sdk_containers: one process on each machine, so one copy of the model on each GPU",
        str,
    ),
    ("number_of_worker_harness_threads", "shards that a machine works on at a time, such as 4", int),
    ("disk_size_gb", "disk of each machine; it holds the image, and the model if the image does not contain it", int),
)


def metadata() -> dict[str, Any]:
    """The template's metadata, as https://cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates
    describes it."""
    required = [
        _parameter(
            "manifest", "recordings to label: URL of a JSONL, CSV, TSV or Parquet file, or a glob of audio", str
        ),
        _parameter("output", "folder for the Parquet, such as gs://bucket/labels", str),
        _parameter("sdk_container_image", "image of the workers, the same as that of the template", str),
    ]
    types = typing.get_type_hints(JobOptions)
    ours = [
        _parameter(field.name, field.metadata["help"], types[field.name])
        for field in dataclasses.fields(JobOptions)
        if field.metadata["flag"]
    ]
    optional = [
        *ours,
        _parameter("config", "job file with options by name, inside the image; parameters take precedence", str),
        _parameter("verbose", "log more, and show stack traces", bool),
        *(_parameter(*parameter) for parameter in DATAFLOW),
    ]
    return {
        "name": "earmark annotate",
        "description": "Labels a corpus of recordings: a manifest in, Parquet out.",
        "streaming": False,
        "parameters": [*required, *(parameter | {"isOptional": True} for parameter in optional)],
    }


def _parameter(name: str, text: str, kind: Any) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "label": name.replace("_", " ").capitalize(), "helpText": text}
    if kind is bool:
        parameter["regexes"] = ["^(true|false)$"]
    elif kind in NUMBERS:
        parameter["regexes"] = [NUMBERS[kind]]
    return parameter


if __name__ == "__main__":
    PATH.write_text(json.dumps(metadata(), indent=2) + "\n")
