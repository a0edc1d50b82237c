"""The models of --model: a checkpoint, a served model, or an engine of another package."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from earmark.model.checkpoints.checkpoint import Checkpoint, find_checkpoint, local_checkpoint
from earmark.model.checkpoints.find_family import find_family
from earmark.model.engine import Engine, EngineModule, import_engine
from earmark.model.plugins.entry_points import OwnEngine, find_own_engine, is_own_engine
from earmark.model.served.endpoint import Endpoint, find_endpoint, names_endpoint
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task

Source: TypeAlias = Checkpoint | Endpoint | OwnEngine
# Options that only some engines use: whether one is set, and what engines without it lack.
SPECIAL_OPTIONS: Mapping[str, tuple[Callable[[JobOptions], bool], str]] = {
    "beam_size": (lambda options: options.beam_size > 1, "answers greedily"),
    "timestamps": (lambda options: options.timestamps, "does not time phrases"),
    "endpoint_requests": (
        lambda options: options.endpoint_requests != JobOptions.endpoint_requests,
        "is not served by an endpoint",
    ),
    "endpoint_timeout_s": (
        lambda options: options.endpoint_timeout_s != JobOptions.endpoint_timeout_s,
        "is not served by an endpoint",
    ),
}


def find_source(name: str) -> Source:
    """The model of --model=`name`.

    Raises:
        JobError: There is no such model; the message has the remedy.
    """
    if names_endpoint(name):
        return find_endpoint(name)
    return find_own_engine(name) if is_own_engine(name) else find_checkpoint(name)


def check_source(source: Source, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job, for any kind of model."""
    return _module(source).check_job(source, options, tasks, here)


def check_options(sources: Sequence[Source], options: JobOptions) -> None:
    """Raises JobError for an option that no model of the job uses."""
    used = frozenset[str]().union(*(_used_options(source) for source in sources))
    names = ", ".join(source.name for source in sources)
    for name, (is_set, lack) in SPECIAL_OPTIONS.items():
        if is_set(options) and name not in used:
            value = getattr(options, name)
            flag = f"--{name}" if value is True else f"--{name}={value}"
            raise JobError(f"{flag} does not work: {names} {lack}; leave it out")


def open_source(source: Source, options: JobOptions) -> Engine:
    """Loads the engine of a checked model on this machine.

    Raises:
        MachineError, JobError: The checkpoint's files cannot be fetched to this machine, or are others on it.
    """
    if isinstance(source, Checkpoint):
        source = local_checkpoint(source)
    return _module(source).open_engine(source, options)


def _module(source: Source) -> EngineModule:
    if isinstance(source, OwnEngine):
        return import_engine("earmark.model.plugins.engine")
    if isinstance(source, Endpoint):
        return import_engine("earmark.model.served.engine")
    return import_engine(find_family(source).module)


def _used_options(source: Source) -> frozenset[str]:
    if isinstance(source, OwnEngine):
        return frozenset(SPECIAL_OPTIONS)  # it gets all options, and may use any
    if isinstance(source, Endpoint):
        return frozenset({"endpoint_requests", "endpoint_timeout_s"})
    return find_family(source).options
