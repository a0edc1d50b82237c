"""The options of a job as flags of a command, merged with those of a job file."""

import argparse
import dataclasses
import typing
from collections.abc import Collection
from typing import Any

from pipeline.job_file import read_job_file, split_names
from schemas.job import JobOptions

FLAGS = [field for field in dataclasses.fields(JobOptions) if field.metadata["flag"]]


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", default="", help="YAML file with options by name; flags win over it")


def add_job_flags(command: argparse.ArgumentParser, without: Collection[str] = ()) -> None:
    """A flag for every option of a job that has one, but for some."""
    for field in FLAGS:
        if field.name not in without:
            _add_flag(command, field)


def _add_flag(command: argparse.ArgumentParser, field: "dataclasses.Field[Any]") -> None:
    kind = typing.get_type_hints(JobOptions)[field.name]
    shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    text = field.metadata["help"].replace("%", "%%")
    if shown not in ("", 0, False):
        text += f" (default: {shown})"
    if kind is bool:
        command.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        several = typing.get_origin(kind) is tuple
        command.add_argument(
            f"--{field.name}",
            type=split_names if several else kind,
            action="extend" if several else "store",
            default=None,
            metavar=field.name.upper(),
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
