"""`earmark annotate` for launchers that pass only flags, such as Dataflow Flex Templates and Airflow's Beam operator:

    python -m earmark.pipeline.annotate_from_flags --manifest=gs://… --output=gs://… --keep_failures=true --runner=…

The positional arguments are passed as --manifest and --output, and a switch may have the value true or false.
"""

import dataclasses
import sys
from collections.abc import Iterator, Sequence

from earmark.pipeline.cli import main
from earmark.schemas.job import JobOptions

POSITIONALS = ("manifest", "output")
SWITCHES = {field.name for field in dataclasses.fields(JobOptions) if field.type is bool}


def command_of(flags: Sequence[str]) -> list[str]:
    """Translate the flags to the arguments of the `earmark` command, which reports what is missing or wrong."""
    values = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
    positionals = [values[name] for name in POSITIONALS if name in values]
    return ["annotate", *positionals, *_options(flags)]


def _options(flags: Sequence[str]) -> Iterator[str]:
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name in SWITCHES and value.lower() in ("true", "false"):
            yield f"--{name}" if value.lower() == "true" else f"--no-{name}"
        elif name == "verbose" and value.lower() in ("true", "false"):  # it has no --no- form
            yield from ["--verbose"] if value.lower() == "true" else []
        elif name not in POSITIONALS:
            yield flag


if __name__ == "__main__":
    sys.exit(main(command_of(sys.argv[1:])))
