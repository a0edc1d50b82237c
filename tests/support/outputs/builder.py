"""Build an output from answers that a test chooses: the files that annotate writes, without audio or a model."""

import dataclasses
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
    """A recording and its answers.

    Attributes:
        answers: Text, label or complete answer to each task; None for a recording that failed.
        language: Language of its transcripts.
        score: Score of its labels; None as from a server that returns no likelihoods.
        avg_logprob: Mean log-probability of a token of its texts.
        flags: Flags of its transcripts.
        facts: Measurements of the audio; None for those of any WAV file of `duration_s`.
    """

    id: str
    answers: Mapping[str, str | Answer] | None
    reference: str | None = None
    language: str = "en"
    extra: Mapping[str, str] = field(default_factory=dict)
    duration_s: float = 3.0
    score: float | None = 0.75
    uri: str = ""
    avg_logprob: float = -0.5
    flags: tuple[str, ...] = ()
    offset_s: float = 0.0
    channel: int | None = None
    facts: AudioFacts | None = None


def write_output(
    folder: Path | str, rows: Sequence[Row], rows_a_part: int = 64, identity: str = "made", **options: object
) -> OutputStore:
    """Write the output of a job with `options`, with its failures in the footers of the parts and in failures/.

    Args:
        identity: Identity of the model, as the job's description has it.
    """
    job = JobOptions(**options)  # type: ignore[arg-type]
    tasks = [dataclasses.replace(task, dimensions=3) if task.answer == "vector" else task for task in job.tasks()]
    store = OutputStore(str(folder))
    description = JobDescription.of(job, dict.fromkeys(tasks, identity), "none")
    store.create(JOB_PATH, description.to_json().encode())
    for start in range(0, len(rows), rows_a_part):
        _write_part(store, rows[start : start + rows_a_part], tasks, description.fingerprint)
    failures = [_failure(row) for row in rows if row.answers is None]
    store.replace(FAILURES_PATH, encode_table(failures_table(failures)))
    return store


def _write_part(store: OutputStore, rows: Sequence[Row], tasks: Sequence[Task], fingerprint: str) -> None:
    annotations = [_annotation(row, tasks) for row in rows if row.answers is not None]
    failures = tuple(_failure(row) for row in rows if row.answers is None)
    key = stable_hash(*(row.id for row in rows))
    report = PartReport(key, len(annotations), failures)
    content = encode_part(annotations_table(annotations, tasks), report, "run", fingerprint)
    store.create(store.part_path(key), content)


def _annotation(row: Row, tasks: Sequence[Task]) -> Annotation:
    assert row.answers is not None
    facts = row.facts or AudioFacts(row.duration_s, 16_000, 1, "wav", -20.0, -3.0, 0.0, 0.8, 8000.0)
    answers = {task.name: _answer(row, task, row.answers[task.name]) for task in tasks}
    extra = tuple(sorted(row.extra.items()))
    uri = row.uri or f"/audio/{row.id}.wav"
    recording = Recording(row.id, uri, row.offset_s, channel=row.channel, reference=row.reference, extra=extra)
    return Annotation(recording, facts, answers)


def _answer(row: Row, task: Task, answer: str | Answer) -> Answer:
    if not isinstance(answer, str):
        return answer
    if task.answer == "transcript":
        flags = row.flags if answer else ("empty", *row.flags)
        return Transcript(answer, row.language, row.avg_logprob, flags=flags)
    if task.answer == "text":
        return TextAnswer(answer, "?", row.avg_logprob)
    return label_answer(answer, row.score, task.labels)


def label_answer(label: str, score: float | None, labels: Sequence[str]) -> LabelAnswer:
    """A label with its score; the other labels share the rest evenly."""
    if score is None:
        return LabelAnswer(label, None, (), None)
    other_score = (1 - score) / (len(labels) - 1)
    scores = tuple(LabelScore(name, score if name == label else other_score) for name in labels)
    return LabelAnswer(label, score, scores, -0.5)


def _failure(row: Row) -> Failure:
    uri = row.uri or f"/audio/{row.id}.wav"
    return Failure(row.id, uri, "DecodeAudio", "not_found", "there is no such file", "run")
