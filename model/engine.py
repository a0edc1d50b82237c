"""The contract of every engine."""

from collections.abc import Sequence
from typing import Any, Protocol

from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Answers, Clip
from earmark.schemas.tasks import Task


class Engine(Protocol):
    """What answers questions about clips."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """One mapping of answers by task's name, or the reason there is none, for each clip, in order.

        An answer does not depend on the other clips. Raises MachineError when the device cannot go on.
        """
        ...


class EngineModule(Protocol):
    """The module of an engine; imported when needed, because it loads torch or another runtime, which takes seconds."""

    def check_job(self, source: Any, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
        """The tasks with what only the model knows put in: labels of its own, dimensions of its vectors.

        Args:
            here: whether it will run on this machine, so that devices can be looked at.

        Raises:
            JobError: the model is not whole, or cannot do what is asked.
        """
        ...

    def open_engine(self, source: Any, options: JobOptions) -> Engine:
        """Loads the model of a checked job; raises JobError or MachineError where it cannot be loaded."""
        ...
