"""Read the options of a job from a YAML file that names them as the flags do."""

import typing
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.suggest import suggest
from earmark.schemas.tasks import new_task

# What to write for an option of each type; YAML reads `language: no` as false.
EXPECTED = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def read_job_file(path: str) -> dict[str, Any]:
    """Return the options of a job file by name.

    Raises:
        JobError: The file cannot be read, or has an unknown option or a value of the wrong type.
    """
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            options = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JobError(f"--config={path} cannot be read: {error}") from error
    if options is None:  # an empty file
        return {}
    if not isinstance(options, dict):
        raise JobError(f"--config={path} must be a mapping of option names to values")
    return {name: _value(path, name, value) for name, value in options.items()}


def _value(path: str, name: str, value: Any) -> Any:
    kinds = typing.get_type_hints(JobOptions)
    if name not in kinds:
        raise JobError(f"{path}: there is no option {name!r}{suggest(str(name), list(kinds))}")
    kind = kinds[name]
    if name == "new_tasks":
        if not isinstance(value, dict):
            raise JobError(f"{path}: new_tasks is {value!r}; give tasks by name, each with a prompt")
        return tuple(new_task(str(task), definition) for task, definition in value.items())
    if typing.get_origin(kind) is tuple:
        if isinstance(value, dict):
            return tuple(f"{key}={column}" for key, column in value.items())
        return tuple(map(str, value)) if isinstance(value, list) else split_names(str(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise JobError(f"{path}: {name} is {value!r}; give {EXPECTED[kind]}")
    return value


def split_names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
