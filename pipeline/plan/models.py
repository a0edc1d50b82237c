"""The models of a job with their sizes, from files on this machine or the table of models; nothing is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.model.checkpoints.aliases import suggest_model
from earmark.model.checkpoints.size import ModelSize, folder_here, model_size
from earmark.model.plugins.entry_points import is_own_engine
from earmark.model.served.endpoint import names_endpoint
from earmark.pipeline.plan.tables import KnownModel
from earmark.schemas.job import JobOptions

ALIKE = 0.02  # of the parameters: fine-tunes have a few more tokens


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model of the job.

    Attributes:
        name: Name as --model has it.
        tasks: Names of its tasks.
        size: Size of the model; None where it is not known, for the reason in `unknown`.
        shape: Name of the model of the same size in the table; "" for none.
        unknown: Reason of a missing size; "" for none.
        elsewhere: Whether a server runs it, so that it needs no memory here, and its speed is not known.
    """

    name: str
    tasks: tuple[str, ...]
    size: ModelSize | None
    shape: str
    unknown: str = ""
    elsewhere: bool = False


def planned_models(options: JobOptions, table: Sequence[KnownModel]) -> tuple[PlannedModel, ...]:
    """The models of the job, in order; a task without one is left out."""
    return tuple(
        _planned(name, tuple(task.name for task in tasks), table) for name, tasks in options.models().items() if name
    )


def _planned(name: str, tasks: tuple[str, ...], table: Sequence[KnownModel]) -> PlannedModel:
    if names_endpoint(name):
        return PlannedModel(name, tasks, None, "", "a server has it", elsewhere=True)
    if is_own_engine(name):
        return PlannedModel(name, tasks, None, "", "another package's engine")
    folder = folder_here(name)
    if folder is None:
        return _by_name(name, tasks, table)
    try:
        size = model_size(folder)
    except (OSError, ValueError) as error:
        return PlannedModel(name, tasks, None, "", str(error))
    return PlannedModel(name, tasks, size, next((model.name for model in table if _alike(size, model)), ""))


def _by_name(name: str, tasks: tuple[str, ...], table: Sequence[KnownModel]) -> PlannedModel:
    plain = name.partition("@")[0]
    for model in table:
        if plain in model.known_as:
            size = ModelSize(model.family, round(model.parameters_m * 1e6), cache_values=model.cache_values)
            return PlannedModel(name, tasks, size, model.name)
    return PlannedModel(name, tasks, None, "", f"not on this machine, and a plan fetches nothing{suggest_model(name)}")


def _alike(size: ModelSize, model: KnownModel) -> bool:
    difference = abs(size.parameters / 1e6 - model.parameters_m)
    return size.family == model.family and difference <= ALIKE * model.parameters_m
