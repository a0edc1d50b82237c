"""Engines that other packages bring: called, and what they return checked, so that a mistake is named as theirs."""

import functools
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from earmark.model.engine import Engine
from earmark.model.plugins.entry_points import OwnEngine, entry_point, find_own_engine
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Annotation, Answer, Answers, Clip, LabelAnswer, TextAnswer, Transcript, VectorAnswer
from earmark.schemas.tables import annotations_table
from earmark.schemas.tasks import AnswerKind, Task
from earmark.schemas.text import counted, error_with_type

RECORDS: Mapping[AnswerKind, type[Answer]] = {
    "transcript": Transcript,
    "text": TextAnswer,
    "label": LabelAnswer,
    "vector": VectorAnswer,
}


class CheckedEngine:
    """Another package's engine, whose answers are held to the contract."""

    def __init__(self, name: str, engine: Engine):
        self._name, self._engine = name, engine

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """What the engine answers.

        Raises:
            JobError: it raised what is neither a MachineError nor a JobError, or its answers are none.
        """
        found: list[Answers | RowError] = _call(
            f"model {self._name}: annotate",
            "return a RowError for a recording that has no answer, and raise a MachineError where a device fails",
            lambda: list(self._engine.annotate(clips, tasks)),
        )
        if len(found) != len(clips):
            raise JobError(
                f"model {self._name} answered {len(found)} of {counted(len(clips), 'clip')}; return one for each"
            )
        for clip, answers in zip(clips, found, strict=True):
            if not isinstance(answers, RowError):
                self._check(clip, answers, tasks)
        return found

    def _check(self, clip: Clip, answers: Any, tasks: Sequence[Task]) -> None:
        names = [task.name for task in tasks]
        if not isinstance(answers, Mapping) or sorted(map(str, answers)) != sorted(names):
            what = (
                f"answers to {', '.join(map(str, answers)) or 'nothing'}" if isinstance(answers, Mapping) else answers
            )
            raise self._wrong(clip, f"{what!r}; return a RowError or answers to {', '.join(names)}")
        for task in tasks:
            answer = answers[task.name]
            if not isinstance(answer, RECORDS[task.answer]):
                kind = RECORDS[task.answer].__name__
                raise self._wrong(clip, f"{answer!r} to {task.name}; return an earmark.{kind}")
            if isinstance(answer, LabelAnswer) and answer.label not in task.labels:
                raise self._wrong(clip, f"{answer.label!r} to {task.name}; choose from {', '.join(task.labels)}")
        try:
            annotations_table([Annotation(clip.recording, clip.facts, answers)], tasks)
        except (ValueError, TypeError, AttributeError) as error:  # what is no record has no fields
            raise self._wrong(clip, f"what cannot be written: {error}") from error

    def _wrong(self, clip: Clip, what: str) -> JobError:
        return JobError(f"model {self._name} answered recording {clip.recording.id} with {what}")


def check_job(source: OwnEngine, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job; where it will run here, the engine is opened now, and kept for the run."""
    called = _load(source)
    filled = tuple(tasks)
    if check := getattr(called, "check", None):
        filled = _call(
            f"model {source.name}: check of {_about(source)}",
            "let it raise an earmark.JobError that says what to do",
            lambda: tuple(check(source.argument, options, tuple(tasks))),
        )
    _check_tasks(source.name, tasks, filled)
    if here:
        _opened(source, options)
    return filled


def open_engine(source: OwnEngine, options: JobOptions) -> CheckedEngine:
    """As EngineModule.open_engine."""
    return _opened(_found_again(source), options)


@functools.lru_cache(maxsize=8)  # an engine that was opened to be checked is the one that runs
def _opened(source: OwnEngine, options: JobOptions) -> CheckedEngine:
    called = _load(source)
    engine = _call(
        f"model {source.name}: {_about(source)}",
        f"give it another argument than {source.argument!r}, or repair the package",
        lambda: called(source.argument, options),
    )
    if not callable(getattr(engine, "annotate", None)):
        raise JobError(
            f"model {source.name}: {_about(source)} returned a thing of type {type(engine).__name__}, which has no"
            " annotate(clips, tasks); let it return an engine (examples/own-engine)"
        )
    return CheckedEngine(source.name, engine)


def _load(source: OwnEngine) -> Callable[..., Any]:
    brought = entry_point(source.name, source.entry_point)
    about = f"model {source.name}: {_about(source)}"
    remedy = f"repair or reinstall {source.distribution}"
    called: Callable[..., Any] = _call(f"{about}, being imported,", remedy, brought.load)
    if not callable(called):
        raise JobError(f"{about} is {called!r}; let it name a class or a function")
    return called


def _about(source: OwnEngine) -> str:
    return f"entry point {source.entry_point} of {source.distribution} {source.version}"


def _call(what: str, remedy: str, function: Callable[[], Any]) -> Any:
    """What another's code returns; what it raises beyond the contract is named as its own, with the remedy."""
    try:
        return function()
    except (JobError, MachineError):
        raise
    except (Exception, SystemExit) as error:  # it may raise anything
        raise JobError(f"{what} raised {error_with_type(error)}; {remedy}") from error


def _check_tasks(name: str, asked: Sequence[Task], filled: Sequence[Any]) -> None:
    """Raises JobError where `check` made other tasks of them, or left open what only the engine knows."""
    kept = [(task.name, task.answer) for task in filled if isinstance(task, Task)]
    if kept != [(task.name, task.answer) for task in asked]:
        raise JobError(f"model {name}: its check returned other tasks than it was given; return the same, in order")
    for task in filled:
        if task.answer == "vector" and task.dimensions < 1:
            raise JobError(
                f"model {name} does not say how long its vectors are; let its check set {task.name}.dimensions"
            )
        if task.answer == "label" and not task.labels:
            raise JobError(f"model {name} does not say what its labels are; let its check set {task.name}.labels")


def _found_again(source: OwnEngine) -> OwnEngine:
    """The same on the machine that asks, which may be another than the one where the job was started.

    Raises:
        MachineError: the package or the folder is not here.
        JobError: what is here is something else.
    """
    machine = socket.gethostname()
    if source.machine == machine:
        return source
    try:
        here = find_own_engine(source.name)
    except JobError as error:
        raise MachineError(f"{error}; the job was started on {source.machine}") from error
    if source.content and not here.content:
        raise MachineError(f"model {source.name}: there is no {source.argument} on {machine}; put it on every machine")
    if here.identity != source.identity:
        raise JobError(
            f"model {source.name} is {here.identity} on {machine}, but was {source.identity} on {source.machine} when"
            " the job was started; install the same there, or start a new job"
        )
    return here
