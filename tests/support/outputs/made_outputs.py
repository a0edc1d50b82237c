"""Outputs with answers that a test chose, in the shape that annotate writes, without any audio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earmark.schemas.answers.kind import Answer
from earmark.schemas.answers.label import LabelAnswer, LabelScore
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from earmark.schemas.records import Annotation, AudioFacts, Failure, PartReport, Recording, stable_hash
from earmark.schemas.tables import annotations_table, failures_table
from earmark.schemas.tasks import Task
from earmark.transforms.output.store import FAILURES_PATH, JOB_PATH, OutputStore, encode_part, encode_table


@dataclass(frozen=True)
class Row:
    """A recording and what is answered about it: a text or a label for each task; none at all is a failure."""

    id: str
    answers: Mapping[str, str] | None
    reference: str | None = None
    language: str = "en"
    extra: Mapping[str, str] = field(default_factory=dict)
    duration_s: float = 3.0
    score: float | None = 0.75  # of a label; None as of a server that tells no likelihoods
    uri: str = ""
    avg_logprob: float = -0.5
    flags: tuple[str, ...] = ()


def write_output(folder: Path | str, rows: Sequence[Row], rows_a_part: int = 64, **options: object) -> OutputStore:
    """An output of a job with `options`, whose failures are in the parts' footers and in failures/."""
    job = JobOptions(**options)  # type: ignore[arg-type]
    tasks = job.tasks()
    store = OutputStore(str(folder))
    description = JobDescription.of(job, dict.fromkeys(tasks, "made"), "none")
    store.create(JOB_PATH, description.to_json().encode())
    for start in range(0, len(rows), rows_a_part):
        _write_part(store, rows[start : start + rows_a_part], tasks, description.fingerprint)
    failures = [_failure(row) for row in rows if row.answers is None]
    store.replace(FAILURES_PATH, encode_table(failures_table(failures)))
    return store


def _write_part(store: OutputStore, rows: Sequence[Row], tasks: Sequence[Task], fingerprint: str) -> None:
    done = [row for row in rows if row.answers is not None]
    key = stable_hash(*(row.id for row in rows))
    failures = tuple(_failure(row) for row in rows if row.answers is None)
    table = annotations_table([_annotation(row, tasks) for row in done], tasks)
    store.create(store.part_path(key), encode_part(table, PartReport(key, len(done), failures), "run", fingerprint))


def _annotation(row: Row, tasks: Sequence[Task]) -> Annotation:
    assert row.answers is not None
    facts = AudioFacts(row.duration_s, 16_000, 1, "wav", -20.0, -3.0, 0.0, 0.8, 8000.0)
    answers = {task.name: _answer(row, task, row.answers[task.name]) for task in tasks}
    uri = row.uri or f"/audio/{row.id}.wav"
    recording = Recording(row.id, uri, reference=row.reference, extra=tuple(sorted(row.extra.items())))
    return Annotation(recording, facts, answers)


def _answer(row: Row, task: Task, said: str) -> Answer:
    if task.answer == "transcript":
        flags = row.flags if said else ("empty", *row.flags)
        return Transcript(said, row.language, row.avg_logprob, flags=flags)
    if task.answer == "text":
        return TextAnswer(said, "?", row.avg_logprob)
    if row.score is None:
        return LabelAnswer(said, None, (), None)
    rest = (1 - row.score) / (len(task.labels) - 1)
    scores = tuple(LabelScore(label, row.score if label == said else rest) for label in task.labels)
    return LabelAnswer(said, row.score, scores, -0.5)


def _failure(row: Row) -> Failure:
    return Failure(
        row.id, row.uri or f"/audio/{row.id}.wav", "DecodeAudio", "not_found", "there is no such file", "run"
    )
