"""What a user can set, and what of it decides the answers."""

import dataclasses
import hashlib
import json
import math
import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import JobError
from schemas.manifest import COLUMNS, ManifestShape
from schemas.tables import ANSWER_TYPES

DEVICES = ("auto", "cpu", "cuda")
COMPUTE_TYPES = ("default", "float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16")


def option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class JobOptions:
    """Every option of `earmark annotate`: the flag `--name`, and the same name in a job file."""

    task: tuple[str, ...] = option(("transcribe",), "what to ask, separated by commas: " + ", ".join(ANSWER_TYPES))
    model: str = option("", "folder or hub id[@revision] of the model; whisper-tiny.en for the one that pip installs")
    columns: tuple[str, ...] = option((), "which column holds what: audio=wav,id=key (" + ", ".join(COLUMNS) + ")")
    audio_root: str = option("", "what relative paths are relative to (default: the manifest's folder)")
    limit: int = option(0, "only the first N recordings of the manifest; 0 for all")
    language: str = option("", "language of recordings whose row names none, such as en (default: detect)")
    timestamps: bool = option(False, "let the model time phrases within a segment (default: one time span a segment)")
    beam_size: int = option(
        5, "hypotheses kept while decoding, as the reference code does; 1 is greedy, a little faster"
    )
    device: str = option("auto", "where the model runs: " + ", ".join(DEVICES))
    compute_type: str = option("default", "numbers the model computes with: " + ", ".join(COMPUTE_TYPES))
    model_threads: int = option(0, "CPU threads of the model; 0 for one a core")
    batch_s: float = option(240.0, "seconds of audio, padding included, in one batch of the model")
    decode_processes: int = option(0, "child processes that fetch and decode, a worker; 0 for one a core")
    shard_rows: int = option(256, "most recordings in one part of the output")
    shard_memory_mb: int = option(512, "audio of one shard held in memory; what is more lies in --scratch_dir")
    scratch_dir: str = option("", "folder for what does not fit into memory (default: the system's temporary folder)")
    max_duration_s: float = option(4 * 3600.0, "a longer recording is a failure")
    recording_timeout_s: float = option(300.0, "a recording whose fetching and decoding takes longer is a failure")
    max_failure_ratio: float = option(0.5, "stop when more of the recordings fail, after the first thousand")
    keep_failures: bool = option(False, "do not try again what failed in earlier runs")
    take_over: bool = option(False, "take the output over from another run that has not ended")

    def shape(self) -> ManifestShape:
        """How the manifest's rows are to be read, wherever that happens: a local root is made absolute here."""
        root = self.audio_root if "://" in self.audio_root or not self.audio_root else os.path.abspath(self.audio_root)
        pairs = tuple(tuple(pair.split("=", 1)) for pair in self.columns)
        return ManifestShape(pairs, root)  # type: ignore[arg-type]  # check() has seen two in each

    def check(self) -> None:
        """Raises JobError with the value and the remedy for the first option that makes no sense."""
        _check_task(self.task)
        _check_columns(self.columns)
        _check(self.device in DEVICES, "device", self.device, _choose_from(DEVICES))
        _check(self.compute_type in COMPUTE_TYPES, "compute_type", self.compute_type, _choose_from(COMPUTE_TYPES))
        for name in ("limit", "model_threads", "decode_processes"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")
        for name in ("beam_size", "shard_rows", "shard_memory_mb"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "give 1 or more")
        for name in ("max_duration_s", "recording_timeout_s"):
            _check(0 < getattr(self, name) < math.inf, name, getattr(self, name), "give seconds above 0")
        _check(30 <= self.batch_s < math.inf, "batch_s", self.batch_s, "give at least 30, the length of one segment")
        _check(
            0 <= self.max_failure_ratio <= 1, "max_failure_ratio", self.max_failure_ratio, "give a share from 0 to 1"
        )
        for name in ("scratch_dir", "audio_root"):
            folder = getattr(self, name)
            there = not folder or "://" in folder or os.path.isdir(folder)
            _check(there, name, folder, "there is no such folder; make it, or name another")


def _check(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise JobError(f"--{name}={value} does not work: {remedy}")


def _choose_from(names: Iterable[str]) -> str:
    return f"choose from {', '.join(names)}"


def _check_task(tasks: Sequence[str]) -> None:
    _check(bool(tasks), "task", "", _choose_from(ANSWER_TYPES))
    for task in tasks:
        _check(task in ANSWER_TYPES, "task", task, _choose_from(ANSWER_TYPES))
    _check(len(set(tasks)) == len(tasks), "task", ",".join(tasks), "name each task once")


def _check_columns(pairs: Sequence[str]) -> None:
    names = []
    for pair in pairs:
        name, _, column = pair.partition("=")
        _check(name in COLUMNS and bool(column), "columns", pair, f"write NAME=COLUMN, NAME of {', '.join(COLUMNS)}")
        names.append(name)
    _check(len(set(names)) == len(names), "columns", ",".join(pairs), "name one column for each")


@dataclass(frozen=True)
class JobDescription:
    """What decides the answers of a job; two runs into one output must agree on all of it.

    Attributes:
        model: what names the weights and nothing else: hub id at its commit, or a digest of the files.
        segmentation: how recordings are cut.
    """

    tasks: tuple[str, ...]
    model: str
    language: str
    timestamps: bool
    beam_size: int
    compute_type: str
    segmentation: str
    schema_version: int = 1

    @classmethod
    def of(cls, options: JobOptions, model: str, segmentation: str) -> "JobDescription":
        return cls(
            options.task,
            model,
            options.language,
            options.timestamps,
            options.beam_size,
            options.compute_type,
            segmentation,
        )

    @property
    def fingerprint(self) -> str:
        canonical = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self) | {"fingerprint": self.fingerprint}, indent=2) + "\n"

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """What differs from the description of an earlier run, in words."""
        mine = json.loads(self.to_json())
        names = sorted((set(mine) | set(earlier)) - {"fingerprint"})
        return [
            f"{name} was {earlier.get(name)!r}, now {mine.get(name)!r}"
            for name in names
            if mine.get(name) != earlier.get(name)
        ]
