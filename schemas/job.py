"""The options of a job, with their defaults, help texts and checks."""

import dataclasses
import math
import os.path
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.manifest import COLUMNS, ManifestShape
from earmark.schemas.records import MAX_SEGMENT_S
from earmark.schemas.suggest import suggest
from earmark.schemas.tasks import BUILT_IN, LANGUAGE_NAMES, Task

DEVICES = ("auto", "cpu", "cuda")
TOKEN_S = 0.04  # seconds of audio that a token counts as in batch_s
COMPUTE_TYPES = ("default", "float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16")


def option(default: Any, help: str, flag: bool = True) -> Any:
    return field(default=default, metadata={"help": help, "flag": flag})


@dataclass(frozen=True)
class JobOptions:
    """The options of a job: each is the flag `--name` of `earmark annotate` and the key `name` of a job file."""

    # Tasks.
    task: tuple[str, ...] = option(("transcribe",), "tasks, see `earmark tasks`")
    new_tasks: tuple[Task, ...] = option((), "tasks defined in the job file", flag=False)
    prompt: str = option("", "question for analyze, where a row has no prompt")
    translate_to: str = option("en", "target language of the translate task: " + ", ".join(LANGUAGE_NAMES))
    language: str = option("", "language, where a row names none (default: detect)")
    free_labels: bool = option(False, "let the model write labels as free text, as published evaluations do")
    label_map: tuple[str, ...] = option(
        (), "rename a classifier's labels to the task's: emotion.hap=joy,emotion.neu=neutral"
    )
    # Models.
    model: tuple[str, ...] = option((), "folder, URL or hub id[@revision]; TASK=MODEL for one task; comma-separated")
    timestamps: bool = option(False, "let the model time phrases within a segment (default: one time span per segment)")
    beam_size: int = option(
        0, "beams while decoding; 0 for the model's default: 5 for CTranslate2 Whisper, otherwise what its files set"
    )
    compute_type: str = option("default", "numeric precision of the model: " + ", ".join(COMPUTE_TYPES))
    endpoint_requests: int = option(8, "maximum number of concurrent requests from a worker to a served model")
    endpoint_timeout_s: float = option(60.0, "seconds to wait for a served model before a request is sent again")
    # Manifest.
    columns: tuple[str, ...] = option((), "columns by role: audio=wav (roles: " + ", ".join(COLUMNS) + ")")
    audio_root: str = option("", "base of relative paths (default: the manifest's folder)")
    limit: int = option(0, "annotate only the first N recordings; 0 for all")
    # Output.
    keep_failures: bool = option(False, "do not retry recordings that failed in earlier runs")
    take_over: bool = option(False, "take over an output that another run still holds")
    shard_rows: int = option(256, "maximum number of recordings in one part of the output")
    # Speed and memory.
    device: str = option("auto", "where the model runs: " + ", ".join(DEVICES))
    batch_s: float = option(240.0, "seconds of audio in a batch, padding included; a token counts as 40 ms")
    model_threads: int = option(0, "CPU threads of the model; 0 for one per core")
    decode_processes: int = option(0, "child processes per worker that fetch and decode; 0 for one per core")
    shard_memory_mb: int = option(512, "audio of a shard held in memory, in MB; the rest is kept in --scratch_dir")
    scratch_dir: str = option(
        "",
        "folder for audio that does not fit in memory or is unpacked from containers (default: the system's temporary"
        " folder)",
    )
    # Limits.
    max_duration_s: float = option(4 * 3600.0, "longest recording in seconds; a longer one is a failure")
    recording_timeout_s: float = option(
        300.0, "seconds to fetch and decode a recording; one that takes longer is a failure"
    )
    max_failure_ratio: float = option(
        0.5, "share of failed recordings above which the job stops, after the first thousand"
    )

    def shape(self) -> ManifestShape:
        """Return how to read the manifest's rows, with a local root made absolute for workers in other folders."""
        root = self.audio_root if "://" in self.audio_root or not self.audio_root else os.path.abspath(self.audio_root)
        pairs = tuple(tuple(pair.split("=", 1)) for pair in self.columns)
        return ManifestShape(pairs, root)  # type: ignore[arg-type]  # check() makes sure of two in each

    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks of the job, with its options filled in."""
        tasks = self.known_tasks()
        return tuple(self._filled(tasks[name]) for name in self.task)

    def known_tasks(self) -> dict[str, Task]:
        """Return the available tasks by name: the built-in ones and those of the job file."""
        return {task.name: task for task in (*BUILT_IN, *self.new_tasks)}

    def _filled(self, task: Task) -> Task:
        if task.target_language:
            task = dataclasses.replace(task, target_language=self.translate_to)
        if task.takes_row_prompt:
            task = dataclasses.replace(task, question=self.prompt)
        pairs = (_of_label(entry) for entry in self.label_map)
        mapped = tuple((source, target) for name, source, target in pairs if name == task.name)
        task = dataclasses.replace(task, label_map=mapped)
        return dataclasses.replace(task, answer="text", labels=()) if task.labels and self.free_labels else task

    def models(self) -> dict[str, tuple[Task, ...]]:
        """Return the tasks of each model, by the model's name as the user gave it, or "" without a model."""
        of_task = dict(_of_task(entry, self.known_tasks()) for entry in self.model)
        models: dict[str, tuple[Task, ...]] = {}
        for task in self.tasks():
            model = of_task.get(task.name, of_task.get("", ""))
            models[model] = (*models.get(model, ()), task)
        return models

    def check_tasks(self) -> None:
        """Raise JobError if tasks and models do not fit together; check() calls this."""
        tasks = list(self.known_tasks())
        _check(bool(self.task), "task", "", _choose_from(tasks))
        for task in self.task:
            _check_choice("task", task, tasks)
        _check(len(set(self.task)) == len(self.task), "task", ",".join(self.task), "name each task once")
        of_tasks = [task for task, _ in (_of_task(entry, tasks) for entry in self.model) if task]
        for task in of_tasks:
            _check(task in self.task, "model", f"{task}=…", f"{task} is not in --task; add it there")
        for_all = len(self.model) - len(of_tasks)
        once = for_all <= 1 and len(set(of_tasks)) == len(of_tasks)
        _check(once, "model", ",".join(self.model), "give at most one model for all tasks, and one TASK=MODEL per task")
        used = not for_all or bool(set(self.task) - set(of_tasks))
        _check(
            used, "model", ",".join(self.model), "every task has a model of its own; leave out the model for all tasks"
        )
        for entry in self.label_map:
            self._check_label_map(entry)
        if self.prompt and not any(task.takes_row_prompt for task in self.tasks()):
            raise JobError("--prompt is the question of analyze, which is not in --task; add it there")

    def _check_label_map(self, entry: str) -> None:
        name, source, target = _of_label(entry)
        _check(bool(name and source and target), "label_map", entry, "write TASK.LABEL_OF_THE_MODEL=LABEL_OF_THE_TASK")
        _check(name in self.task, "label_map", entry, f"{name} is not in --task; add it there")
        task = self.known_tasks()[name]
        _check(task.answer == "label", "label_map", entry, f"{name} has no labels")
        is_label = task.labels_of_model or target in task.labels
        _check(is_label, "label_map", entry, f"{name} has the labels {', '.join(task.labels)}")

    def check(self) -> None:
        """Raise JobError with the value and the remedy for the first invalid option."""
        self.check_tasks()
        _check_columns(self.columns)
        _check_choice("translate_to", self.translate_to, LANGUAGE_NAMES)
        _check_choice("device", self.device, DEVICES)
        _check_choice("compute_type", self.compute_type, COMPUTE_TYPES)
        for name in ("limit", "model_threads", "decode_processes", "beam_size"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")
        for name in ("shard_rows", "shard_memory_mb", "endpoint_requests"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "give 1 or more")
        for name in ("max_duration_s", "recording_timeout_s", "endpoint_timeout_s"):
            _check(0 < getattr(self, name) < math.inf, name, getattr(self, name), "give a number of seconds above 0")
        remedy = f"give at least {MAX_SEGMENT_S}, the length of one segment"
        _check(MAX_SEGMENT_S <= self.batch_s < math.inf, "batch_s", self.batch_s, remedy)
        _check(
            0 <= self.max_failure_ratio <= 1, "max_failure_ratio", self.max_failure_ratio, "give a fraction from 0 to 1"
        )
        for name in ("scratch_dir", "audio_root"):
            folder = getattr(self, name)
            exists = not folder or "://" in folder or os.path.isdir(folder)
            _check(exists, name, folder, "the folder does not exist; create it or give another")


def _of_task(entry: str, tasks: Iterable[str]) -> tuple[str, str]:
    """Split an entry of --model into task and model; the task is "" for the model of all other tasks."""
    task, equals, model = entry.partition("=")
    return (task, model) if equals and task in tasks else ("", entry)


def _of_label(entry: str) -> tuple[str, str, str]:
    """Split an entry of --label_map into task, label of the model and label of the task."""
    label, _, target = entry.rpartition("=")
    name, _, source = label.partition(".")
    return name, source, target


def _check(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise JobError(f"--{name}={value} does not work: {remedy}")


def _check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    _check(value in choices, name, value, f"{_choose_from(choices)}{suggest(value, choices)}")


def _choose_from(names: Iterable[str]) -> str:
    return f"choose from {', '.join(names)}"


def _check_columns(pairs: Sequence[str]) -> None:
    names = []
    for pair in pairs:
        name, _, column = pair.partition("=")
        remedy = f"write NAME=COLUMN, NAME of {', '.join(COLUMNS)}"
        _check(bool(column), "columns", pair, remedy)
        _check(name in COLUMNS, "columns", pair, f"{remedy}{suggest(name, COLUMNS)}")
        names.append(name)
    _check(len(set(names)) == len(names), "columns", ",".join(pairs), "give one column per role")
