"""Engines of other packages: they are called, and their answers checked, so that errors name the package at fault."""

import functools
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from earmark.model.engine import Engine
from earmark.model.plugins.entry_points import OwnEngine, entry_point, find_own_engine
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Annotation, Answers, Clip
from earmark.schemas.tables import annotations_table
from earmark.schemas.tasks import Task
from earmark.schemas.text import counted, error_with_type

# Names under which earmark's packages were once imported.
FORMER_MODULES = frozenset({"schemas", "model", "transforms", "scoring", "reporting", "pipeline"})


class CheckedEngine:
    """Another package's engine, whose answers are checked against the contract."""

    def __init__(self, name: str, engine: Engine):
        self._name, self._engine = name, engine

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """The engine's answers.

        Raises:
            JobError: The engine raised something other than a MachineError or JobError, or its answers are invalid.
        """
        results: list[Answers | RowError] = _call(
            f"model {self._name}: annotate",
            "return a RowError for a recording that has no answer, and raise a MachineError where a device fails",
            lambda: list(self._engine.annotate(clips, tasks)),
        )
        if len(results) != len(clips):
            raise JobError(
                f"model {self._name} answered {len(results)} of {counted(len(clips), 'clip')}; return one for each"
            )
        for clip, answers in zip(clips, results, strict=True):
            if not isinstance(answers, RowError):
                self._check(clip, answers, tasks)
        return results

    def _check(self, clip: Clip, answers: Any, tasks: Sequence[Task]) -> None:
        names = [task.name for task in tasks]
        if not isinstance(answers, Mapping) or sorted(map(str, answers)) != sorted(names):
            returned = (
                f"answers to {', '.join(map(str, answers)) or 'nothing'}" if isinstance(answers, Mapping) else answers
            )
            raise self._invalid(clip, f"{returned!r}; return a RowError or answers to {', '.join(names)}")
        for task in tasks:
            answer, kind = answers[task.name], task.answer_kind
            if not isinstance(answer, kind.record):
                raise self._invalid(clip, f"{answer!r} to {task.name}; return an earmark.{kind.record.__name__}")
            if mismatch := kind.mismatch(answer, task):
                raise self._invalid(clip, mismatch)
        try:
            annotations_table([Annotation(clip.recording, clip.facts, answers)], tasks)
        except (ValueError, TypeError, AttributeError) as error:  # an object that is no record lacks fields
            raise self._invalid(clip, f"what cannot be written: {error}") from error

    def _invalid(self, clip: Clip, what: str) -> JobError:
        return JobError(f"model {self._name} answered recording {clip.recording.id} with {what}")


def check_job(source: OwnEngine, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job; where it will run on this machine, the engine is opened now, and kept for the run."""
    factory = _load(source)
    filled = tuple(tasks)
    if check := getattr(factory, "check", None):
        filled = _call(
            f"model {source.name}: check of {_about(source)}",
            "let it raise an earmark.JobError with a remedy",
            lambda: tuple(check(source.argument, options, tuple(tasks))),
        )
    _check_tasks(source.name, tasks, filled)
    if here:
        _open(source, options)
    return filled


def open_engine(source: OwnEngine, options: JobOptions) -> CheckedEngine:
    """As EngineModule.open_engine."""
    return _open(_find_on_this_machine(source), options)


@functools.lru_cache(maxsize=8)  # an engine that was opened to be checked is the one that runs
def _open(source: OwnEngine, options: JobOptions) -> CheckedEngine:
    factory = _load(source)
    engine = _call(
        f"model {source.name}: {_about(source)}",
        f"give it another argument than {source.argument!r}, or repair the package",
        lambda: factory(source.argument, options),
    )
    if not callable(getattr(engine, "annotate", None)):
        raise JobError(
            f"model {source.name}: {_about(source)} returned an object of type {type(engine).__name__}, which has no"
            " annotate(clips, tasks); let it return an engine (examples/own-engine)"
        )
    return CheckedEngine(source.name, engine)


def _load(source: OwnEngine) -> Callable[..., Any]:
    remedy = f"repair or reinstall {source.distribution}"
    point = entry_point(source.name, source.entry_point)
    factory: Callable[..., Any] = _call(f"model {source.name}: importing {_about(source)}", remedy, point.load)
    if not callable(factory):
        raise JobError(f"model {source.name}: {_about(source)} is {factory!r}; let it name a class or a function")
    return factory


def _about(source: OwnEngine) -> str:
    return f"entry point {source.entry_point} of {source.distribution} {source.version}"


def _call(what: str, remedy: str, function: Callable[[], Any]) -> Any:
    """The result of another package's code; what it raises beyond the contract becomes a JobError with the remedy."""
    try:
        return function()
    except (JobError, MachineError):
        raise
    except (Exception, SystemExit) as error:  # it may raise anything
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in FORMER_MODULES:
            remedy = "import earmark's names from earmark: from earmark import RowError"
        raise JobError(f"{what} raised {error_with_type(error)}; {remedy}") from error


def _check_tasks(name: str, tasks: Sequence[Task], filled: Sequence[Any]) -> None:
    """Raises JobError where the engine's check returned other tasks, or left out labels or dimensions."""
    returned = [(task.name, task.answer) for task in filled if isinstance(task, Task)]
    if returned != [(task.name, task.answer) for task in tasks]:
        raise JobError(f"model {name}: its check returned other tasks than it was given; return the same, in order")
    for task in filled:
        if unset := task.answer_kind.unset_field(task):
            field, content = unset
            raise JobError(f"model {name} does not set {content}; let its check set {task.name}.{field}")


def _find_on_this_machine(source: OwnEngine) -> OwnEngine:
    """The same engine on this machine, which may be another than the one where the job was started.

    Raises:
        MachineError: The package or the folder is not on this machine.
        JobError: This machine has another version of it.
    """
    machine = socket.gethostname()
    if source.machine == machine:
        return source
    try:
        local = find_own_engine(source.name)
    except JobError as error:
        raise MachineError(f"{error}; the job was started on {source.machine}") from error
    if source.content and not local.content:
        raise MachineError(f"model {source.name}: there is no {source.argument} on {machine}; put it on every machine")
    if local.identity != source.identity:
        raise JobError(
            f"model {source.name} is {local.identity} on {machine}, but was {source.identity} on {source.machine} when"
            " the job was started; install the same there, or start a new job"
        )
    return local
