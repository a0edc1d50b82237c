"""`earmark annotate` for who can pass flags only, such as Dataflow's Flex Templates and Airflow's Beam operator:

    python -m earmark.pipeline.annotate_from_flags --manifest=gs://… --output=gs://… --keep_failures=true --runner=…

What the command takes as words comes as --manifest and --output, and a switch may have a value.
"""

import dataclasses
import sys
from collections.abc import Iterator, Sequence

from earmark.pipeline.cli import main
from earmark.schemas.job import JobOptions

WORDS = ("manifest", "output")
SWITCHES = {field.name for field in dataclasses.fields(JobOptions) if field.type is bool}


def command_of(flags: Sequence[str]) -> list[str]:
    """The arguments of the command `earmark` that say what the flags do.

    What is missing or wrong is left for the command to refuse.
    """
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
    words = [given[word] for word in WORDS if word in given]
    return ["annotate", *words, *_others(flags)]


def _others(flags: Sequence[str]) -> Iterator[str]:
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name in SWITCHES and value.lower() in ("true", "false"):
            yield f"--{name}" if value.lower() == "true" else f"--no-{name}"
        elif name == "verbose" and value.lower() in ("true", "false"):  # it has no other side
            yield from ["--verbose"] if value.lower() == "true" else []
        elif name not in WORDS:
            yield flag


if __name__ == "__main__":
    sys.exit(main(command_of(sys.argv[1:])))
