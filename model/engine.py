"""The contract of every engine."""

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Answers, Clip
from earmark.schemas.tasks import Task


class Engine(Protocol):
    """A loaded model that answers tasks about clips."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """Answer all tasks for each clip, in order: a mapping of answers by task name, or the error of that clip.

        An answer does not depend on the other clips. Raises MachineError when the device cannot continue.
        """
        ...


class EngineModule(Protocol):
    """The module of an engine; imported when needed, because it loads torch or another runtime, which takes seconds."""

    def check_job(self, source: Any, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
        """Check a job before any work, and complete its tasks from the model: its labels, its vectors' dimensions.

        Args:
            source: The model, as `model/source.py` resolved it.
            options: Options of the job.
            tasks: Tasks that this model is to answer.
            here: Whether the job will run on this machine, so that its devices can be checked.

        Returns:
            The tasks, in order, with the fields set that depend on the model.

        Raises:
            JobError: The model is incomplete, or cannot do one of the tasks.
        """
        ...

    def open_engine(self, source: Any, options: JobOptions) -> Engine:
        """Load the model of a checked job. Raises JobError or MachineError if it cannot be loaded."""
        ...


def import_engine(module: str) -> EngineModule:
    """The engine's module of that name."""
    return cast(EngineModule, importlib.import_module(module))
