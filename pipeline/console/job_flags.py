"""The options of a job as flags of a command, merged with those of a job file."""

import argparse
import dataclasses
import typing
from collections.abc import Collection
from typing import Any

from earmark.pipeline.console.job_file import read_job_file, split_names
from earmark.pipeline.console.parser import CommandParser
from earmark.schemas.job import JobOptions

FLAGS = [field for field in dataclasses.fields(JobOptions) if field.metadata["flag"]]
# How --help_all shows the options.
GROUPS = {
    "what to ask": ("task", "prompt", "translate_to", "language", "free_labels", "label_map"),
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
# Those that --help shows: a first run needs no others.
EVERYDAY = ("task", "prompt", "language", "model", "columns", "limit", "device", "batch_s")
# What stands for the value in the help, where it is not the option's name or a number.
VALUES = {
    "task": "TASK,…",
    "model": "MODEL,…",
    "translate_to": "LANGUAGE",
    "prompt": "QUESTION",
    "label_map": "TASK.ITS=OURS",
    "columns": "NAME=COL",
    "audio_root": "FOLDER",
    "scratch_dir": "FOLDER",
    "compute_type": "NUMBERS",
}


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", default="", metavar="FILE", help="YAML file with options by name; flags win over it"
    )


def add_job_flags(command: CommandParser, without: Collection[str] = ()) -> None:
    """A flag for every option of a job that has one, but for some."""
    fields = {field.name: field for field in FLAGS if field.name not in without}
    for title, names in GROUPS.items():
        group = command.add_argument_group(title)
        for name in names:
            if name in fields:
                _add_flag(group, fields[name])
    command.hide([name for name in fields if name not in EVERYDAY])


def _add_flag(group: "argparse._ArgumentGroup", field: "dataclasses.Field[Any]") -> None:
    kind = typing.get_type_hints(JobOptions)[field.name]
    shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    text = field.metadata["help"].replace("%", "%%")
    if shown not in ("", 0, False):
        text += f" (default: {shown})"
    if kind is bool:
        group.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        several = typing.get_origin(kind) is tuple
        group.add_argument(
            f"--{field.name}",
            type=split_names if several else kind,
            action="extend" if several else "store",
            default=None,
            metavar="N" if kind in (int, float) else VALUES.get(field.name, field.name.upper()),
            help=text,
        )


def merge_options(known: argparse.Namespace) -> JobOptions:
    """Options from the flags, then the job file, then the defaults.

    Raises:
        JobError: the job file names what is no option, or gives it a value of another type.
    """
    values = read_job_file(known.config) if known.config else {}
    for field in dataclasses.fields(JobOptions):
        if (value := getattr(known, field.name, None)) is not None:
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return JobOptions(**values)
