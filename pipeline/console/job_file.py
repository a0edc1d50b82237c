"""Options of a job in a YAML file, by the names that the flags have."""

import typing
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.suggest import suggest
from earmark.schemas.tasks import new_task

# What a job file has to give for an option of a type; YAML takes `language: no` for false.
KINDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def read_job_file(path: str) -> dict[str, Any]:
    """The options that a job file gives, by name.

    Raises:
        JobError: it cannot be read, names what is no option, or gives one a value of another type.
    """
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JobError(f"--config={path} cannot be read: {error}") from error
    if found is None:  # an empty file
        return {}
    if not isinstance(found, dict):
        raise JobError(f"--config={path} does not hold options by name")
    return {name: _value(path, name, value) for name, value in found.items()}


def _value(path: str, name: str, value: Any) -> Any:
    kinds = typing.get_type_hints(JobOptions)
    if name not in kinds:
        raise JobError(f"{path}: there is no option {name!r}{suggest(str(name), list(kinds))}")
    kind = kinds[name]
    if name == "new_tasks":
        if not isinstance(value, dict):
            raise JobError(f"{path}: new_tasks is {value!r}; give tasks by name, each with a prompt")
        return tuple(new_task(str(task), found) for task, found in value.items())
    if typing.get_origin(kind) is tuple:
        if isinstance(value, dict):
            return tuple(f"{key}={column}" for key, column in value.items())
        return tuple(str(one) for one in value) if isinstance(value, list) else split_names(str(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise JobError(f"{path}: {name} is {value!r}; give {KINDS[kind]}")
    return value


def split_names(text: str) -> tuple[str, ...]:
    """Names that commas separate."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
