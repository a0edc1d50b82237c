"""Command-line flags for the options of a job, merged with those of a job file."""

import argparse
import dataclasses
import typing
from collections.abc import Collection
from typing import Any

from earmark.pipeline.console.job_file import read_job_file, split_names
from earmark.pipeline.console.parser import CommandParser
from earmark.schemas.job import JobOptions

FLAGS = [field for field in dataclasses.fields(JobOptions) if field.metadata["flag"]]
# Headings and order of the options in --help_all; JobOptions has the same order.
GROUPS = {
    "tasks": ("task", "prompt", "translate_to", "language", "free_labels", "label_map"),
    "models": (
        "model",
        "timestamps",
        "beam_size",
        "compute_type",
        "endpoint_requests",
        "endpoint_timeout_s",
    ),
    "manifest": ("columns", "audio_root", "limit"),
    "output": ("keep_failures", "take_over", "shard_rows"),
    "speed and memory": (
        "device",
        "batch_s",
        "model_threads",
        "decode_processes",
        "shard_memory_mb",
        "scratch_dir",
    ),
    "limits": ("max_duration_s", "recording_timeout_s", "max_failure_ratio"),
}
# The options that --help shows: enough for a first run.
EVERYDAY = ("task", "prompt", "language", "model", "columns", "limit", "device", "batch_s")
# Placeholders of values in the help, where they are not the option's name or a number.
VALUES = {
    "task": "TASK,…",
    "model": "MODEL,…",
    "translate_to": "LANGUAGE",
    "prompt": "QUESTION",
    "label_map": "TASK.FROM=TO",
    "columns": "NAME=COL",
    "audio_root": "FOLDER",
    "scratch_dir": "FOLDER",
    "compute_type": "TYPE",
}


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", default="", metavar="FILE", help="YAML file of options by name; flags take precedence"
    )


def add_job_flags(command: CommandParser, without: Collection[str] = ()) -> None:
    """Add a flag for each option of a job that has one, except those in `without`."""
    fields = {field.name: field for field in FLAGS if field.name not in without}
    for title, names in GROUPS.items():
        group = command.add_argument_group(title)
        for name in names:
            if name in fields:
                _add_flag(group, fields[name])
    command.hide([name for name in fields if name not in EVERYDAY])


def _add_flag(group: "argparse._ArgumentGroup", field: "dataclasses.Field[Any]") -> None:
    kind = typing.get_type_hints(JobOptions)[field.name]
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    text = field.metadata["help"].replace("%", "%%")
    if default not in ("", 0, False):
        text += f" (default: {default})"
    if kind is bool:
        group.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        is_list = typing.get_origin(kind) is tuple
        group.add_argument(
            f"--{field.name}",
            type=split_names if is_list else kind,
            action="extend" if is_list else "store",
            default=None,
            metavar="N" if kind in (int, float) else VALUES.get(field.name, field.name.upper()),
            help=text,
        )


def merge_options(args: argparse.Namespace) -> JobOptions:
    """Return the options of a job: flags take precedence over the job file, and that over the defaults.

    Raises:
        JobError: The job file has an unknown option or a value of the wrong type.
    """
    values = read_job_file(args.config) if args.config else {}
    for field in dataclasses.fields(JobOptions):
        if (value := getattr(args, field.name, None)) is not None:
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return JobOptions(**values)
