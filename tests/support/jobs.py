"""Run jobs in this process with an engine that needs no weights, or as a user starts them; read their outputs."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from earmark.pipeline.annotate import run_job
from earmark.pipeline.launch import ExecutionTarget, Run, launched_run
from earmark.pipeline.runner import embedded_options
from earmark.schemas.answers.kind import Answer
from earmark.schemas.answers.label import LabelAnswer, LabelScore
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip
from earmark.schemas.tasks import Task
from earmark.transforms.annotate import Assignment
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.decode_shard import Decode
from earmark.transforms.summarize import Summary
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
PHONE_PROMPTS = EXAMPLES / "phone-prompts" / "manifest.jsonl"
TINY = EXAMPLES / "tiny-qwen2-audio"


class DescribingEngine:
    """Answers any task with the length and the peak of each clip, which depend on the audio alone.

    The answer to a task with labels is the first label.
    """

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        return [{task.name: self._answer(task, describe_samples(clip.samples)) for task in tasks} for clip in clips]

    def _answer(self, task: Task, text: str) -> Answer:
        if task.answer == "transcript":
            return Transcript(text, "en", -0.5)
        if task.answer == "text":
            return TextAnswer(text, task.prompt(True, None, None), -0.5)
        scores = tuple(LabelScore(label, float(label == task.labels[0])) for label in task.labels)
        return LabelAnswer(task.labels[0], 1.0, scores, -0.5)


def describe_samples(samples: np.ndarray) -> str:
    """Return the text of every answer of the DescribingEngine."""
    return f"{len(samples)} samples, peak {np.abs(samples).max():.2f}"


def run_here(
    manifest: Path, output: Path | str, decode: Decode = decode_requests, workers: int = 2, **options: Any
) -> Summary:
    """Run the whole graph with the DescribingEngine; errors of workers are raised as they are."""
    flags = [f"--direct_num_workers={workers}"]
    with launched_here(manifest, output, JobOptions(**options), workers) as run:
        return run_job(run, fake_assignments(run.options), embedded_options(flags), decode)


def launched_here(manifest: Path, output: Path | str, options: JobOptions, workers: int) -> AbstractContextManager[Run]:
    """A launched run whose models are identified by their names, or by "describing" without a name."""
    named = {task.name: name or "describing" for name, tasks in options.models().items() for task in tasks}
    models = {task: named[task.name] for task in options.tasks()}
    return launched_run(str(manifest), str(output), options, models, ExecutionTarget(workers))


def fake_assignments(options: JobOptions) -> list[Assignment]:
    """A DescribingEngine for each model of a job."""
    return [Assignment(DescribingEngine, tasks) for tasks in options.models().values()]


def run_command(*arguments: object, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """`earmark ...` as a user types it."""
    return subprocess.run(command_line(*arguments), capture_output=True, text=True, timeout=timeout_s)


def command_line(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "earmark.pipeline.cli", *(str(argument) for argument in arguments)]


def write_tone(path: Path, seconds: float = 0.5, amplitude: float = 0.5, hz: float = 440.0) -> Path:
    times = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32), SAMPLE_RATE_HZ)
    return path


def write_tones(folder: Path, count: int) -> list[dict[str, Any]]:
    """Write `count` recordings that differ in length and level; return rows of a manifest with their texts."""
    rows = []
    for number in range(count):
        seconds, amplitude = 0.2 + 0.01 * number, 0.1 + 0.8 * number / count
        path = write_tone(folder / f"tone{number}.wav", seconds, amplitude)
        text = describe_samples(soundfile.read(path, dtype="float32")[0])
        rows.append({"id": f"r{number:04d}", "audio_filepath": str(path), "text": text, "number": number})
    return rows


def write_manifest(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def manifest_lines(path: Path) -> list[dict[str, Any]]:
    """JSON Lines, split at newlines alone: str.splitlines also splits at separators that a text may contain."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def annotations(output: Path | str) -> list[dict[str, Any]]:
    """All annotations sorted by id, read part by part: an id in two parts comes twice."""
    rows = [
        row for part in sorted(Path(output).glob("annotations/*/*.parquet")) for row in pq.read_table(part).to_pylist()
    ]
    for row in rows:
        row["extra"] = {pair["key"]: pair["value"] for pair in row["extra"]}
    return sorted(rows, key=lambda row: str(row["id"]))


def failures(output: Path | str) -> list[dict[str, Any]]:
    return list(pq.read_table(Path(output) / "failures" / "failures.parquet").to_pylist())


def transcripts(output: Path | str) -> dict[str, str]:
    return {row["id"]: row["transcribe"]["text"] for row in annotations(output)}


def same(a: Any, b: Any) -> bool:
    """Whether two values of a row agree, floats to 1e-4."""
    if isinstance(a, float):
        return a == pytest.approx(b, abs=1e-4)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)
