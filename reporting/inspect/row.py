"""Everything that an output has about one id: answers, reference, audio and provenance; or its failure."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from earmark.reporting.clip_audio import AudioSource
from earmark.reporting.inspect.find_row import find_row, similar_ids
from earmark.reporting.inspect.row_provenance import RowProvenance, row_provenance
from earmark.reporting.text.plain_text import visible
from earmark.schemas.answers.kind import Answer
from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask
from earmark.schemas.records import AudioFacts, Failure
from earmark.scoring.answers import Output, insert, open_database, open_output
from earmark.scoring.normalizers import normalizer_for
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.references import find_column, language_expression, own_references
from earmark.scoring.word_errors import Edits, edits_of
from earmark.transforms.output.job_file import read_job


@dataclass(frozen=True, slots=True)
class TaskPrompts:
    """The model of a task and its prompts, which models without text prompts ignore.

    Attributes:
        task: Name of the task.
        model: Identity of the model, as in `_earmark/job.json`.
        base_prompt: Prompt for base checkpoints; None where only an Instruct checkpoint can answer.
        chat_prompt: Prompt for Instruct checkpoints.
        prompt: Prompt for this recording; "" where the answer does not record it.
    """

    task: str
    model: str
    base_prompt: str | None
    chat_prompt: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """A reference and a transcript, normalised as by `earmark evaluate`.

    Attributes:
        normalizer: Name of the normalizer.
        wer: Word errors per reference word; the number of errors where the reference is empty.
        reference: Normalised words of the reference.
        transcript: Normalised words of the transcript.
    """

    normalizer: str
    wer: float
    edits: Edits
    reference: tuple[str, ...]
    transcript: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InspectedAnswer:
    """An answer with its confidence and its reference.

    Attributes:
        asked: Task, model and prompts.
        confidence: Geometric mean of the token probabilities, or the score of a label; None where the model gives none.
        reference_column: Column whose value `earmark evaluate` takes as the reference; None for none.
        reference: Reference of the answer; None for none.
        alignment: Alignment with the reference, of a transcript that has one.
    """

    asked: TaskPrompts
    answer: Answer
    confidence: float | None
    reference_column: str | None = None
    reference: str | None = None
    alignment: Alignment | None = None


@dataclass(frozen=True, slots=True)
class InspectedRow:
    """An annotation; fields as in the output."""

    id: str
    source: AudioSource
    reference: str | None
    extra: Mapping[str, str]
    audio: AudioFacts
    answers: tuple[InspectedAnswer, ...]
    provenance: RowProvenance


@dataclass(frozen=True, slots=True)
class InspectedFailure:
    """A failure and what wrote it."""

    failure: Failure
    provenance: RowProvenance


@dataclass(frozen=True, slots=True)
class Inspection:
    """Result for one id of an output: an annotation or a failure."""

    output: str
    annotation: InspectedRow | None
    failure: InspectedFailure | None


def inspect_row(output_url: str, id: str) -> Inspection:
    """Read the annotation or the failure of an id.

    Raises:
        JobError: The output does not have the id (the message lists similar ids), or cannot be read.
    """
    output = open_output(output_url)
    try:
        row = find_row(output.store, id)
        if row is None:
            similar = similar_ids(output.store, id)
            hint = visible(f"; did you mean {' or '.join(similar)}?") if similar else ""
            raise JobError(f"{output.store.root} has no recording {visible(id)}{hint}")
        job = read_job(output.store)
        provenance = row_provenance(output.store, row, job)
    except FileNotFoundError as error:
        raise JobError(f"{error}: a compaction has removed the file meanwhile; run inspect again") from error
    except OSError as error:
        raise JobError(f"output {output_url} cannot be read: {error}") from error
    if row.failure is not None:
        return Inspection(output.store.root, None, InspectedFailure(row.failure, provenance))
    assert row.row is not None
    return Inspection(output.store.root, _annotation(output, row.row, job.tasks, provenance), None)


def _annotation(output: Output, table: pa.Table, tasks: Sequence[AskedTask], provenance: RowProvenance) -> InspectedRow:
    (row,) = table.to_pylist()
    answers = tuple(_answer(task, row[task.name]) for task in tasks if task.name in row)
    return InspectedRow(
        row["id"],
        AudioSource.of(row["uri"], row["offset_s"], row["channel"]),
        row["reference"],
        dict(row["extra"] or ()),
        AudioFacts(**row["audio"]),
        _with_references(output, table, answers),
        provenance,
    )


def _answer(task: AskedTask, value: Any) -> InspectedAnswer:
    answer = task.answer_kind.read(value)
    prompts = TaskPrompts(
        task.name,
        task.model,
        _with_question(task.base_prompt, task.question),
        _with_question(task.chat_prompt, task.question) or "",
        getattr(answer, "prompt", ""),
    )
    return InspectedAnswer(prompts, answer, answer.confidence())


def _with_question(prompt: str | None, question: str) -> str | None:
    return prompt if prompt is None else prompt.replace("{question}", question)


def _with_references(
    output: Output, table: pa.Table, answers: Sequence[InspectedAnswer]
) -> tuple[InspectedAnswer, ...]:
    """The answers with the references that `earmark evaluate` would take for this row."""
    database = open_database()
    insert(database, "answers", table, create=True)
    own_references(database, ["answers"])
    tasks = {task.name: task for task in output.tasks}
    with_references: list[InspectedAnswer] = []
    for answer in answers:
        task = tasks.get(answer.asked.task)
        column = find_column(database, task, output.tasks, ()) if task else None
        if task is None or column is None or column.problem:
            with_references.append(answer)
            continue
        language = language_expression(task, output, EvaluateOptions())
        query = f"SELECT {column.expression}, coalesce({language}, '') FROM answers AS r JOIN given AS g USING (id)"
        ((reference, code),) = database.execute(query).fetchall()
        if task.measure == "label" and not (reference or "").strip():  # an empty cell of a table is not a label
            reference = None
        is_aligned = reference is not None and task.measure == "transcript"
        alignment = _alignment(reference, answer.answer.as_text(), code) if is_aligned else None
        with_references.append(
            dataclasses.replace(answer, reference_column=column.column, reference=reference, alignment=alignment)
        )
    return tuple(with_references)


def _alignment(reference: str, hypothesis: str, language: str) -> Alignment:
    normalizer = normalizer_for(language)
    reference_words, words = normalizer.words(reference), normalizer.words(hypothesis)
    (edits,) = edits_of([reference_words], [words])
    wer = edits.errors / max(1, edits.reference_length)
    return Alignment(normalizer.name, wer, edits, tuple(reference_words), tuple(words))
