"""All that an output knows of one id: its answers beside its reference, its audio, and what made it; or its failure."""

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
class Asked:
    """A task as it was asked of its model; a model that is not asked in words has no use for the prompts.

    Attributes:
        model: its identity, as `_earmark/job.json` names it.
        base_prompt: of a base checkpoint, None where only an Instruct checkpoint can answer.
        prompt: as it was asked of this recording; "" where the answer does not say.
    """

    task: str
    model: str
    base_prompt: str | None
    chat_prompt: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """A reference beside a transcript, normalised by `normalizer` as `earmark evaluate` does it.

    Attributes:
        wer: errors in a word of the reference; the number of errors where that is empty.
        reference, transcript: the words.
    """

    normalizer: str
    wer: float
    edits: Edits
    reference: tuple[str, ...]
    transcript: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InspectedAnswer:
    """`confidence`: the mean probability of a token (geometric), or a label's score; None where the model tells none.

    `reference_column` and `reference`: what evaluate would hold the answer against; None where there is none.
    """

    asked: Asked
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
    failure: Failure
    provenance: RowProvenance


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an output has of an id: one of the two."""

    output: str
    annotation: InspectedRow | None
    failure: InspectedFailure | None


def inspect_row(output_url: str, id: str) -> Inspection:
    """Read what an output has about an id.

    Raises:
        JobError: the output does not have the id (the message lists similar ids), or cannot be read.
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


def _annotation(output: Output, table: pa.Table, asked: Sequence[AskedTask], provenance: RowProvenance) -> InspectedRow:
    (row,) = table.to_pylist()
    answers = tuple(_answer(task, row[task.name]) for task in asked if task.name in row)
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
    asked = Asked(
        task.name,
        task.model,
        _with_question(task.base_prompt, task.question),
        _with_question(task.chat_prompt, task.question) or "",
        getattr(answer, "prompt", ""),
    )
    return InspectedAnswer(asked, answer, answer.confidence())


def _with_question(prompt: str | None, question: str) -> str | None:
    return prompt if prompt is None else prompt.replace("{question}", question)


def _with_references(
    output: Output, table: pa.Table, answers: Sequence[InspectedAnswer]
) -> tuple[InspectedAnswer, ...]:
    """The answers with what evaluate would take for their references, had it only this row."""
    database = open_database()
    insert(database, "answers", table, create=True)
    own_references(database, ["answers"])
    known = {task.name: task for task in output.tasks}
    held: list[InspectedAnswer] = []
    for one in answers:
        task = known.get(one.asked.task)
        column = find_column(database, task, output.tasks, ()) if task else None
        if task is None or column is None or column.problem:
            held.append(one)
            continue
        language = language_expression(task, output, EvaluateOptions())
        query = f"SELECT {column.expression}, coalesce({language}, '') FROM answers AS r JOIN given AS g USING (id)"
        ((reference, code),) = database.execute(query).fetchall()
        if task.measure == "label" and not (reference or "").strip():  # an empty cell of a table is no label
            reference = None
        is_aligned = reference is not None and task.measure == "transcript"
        alignment = _alignment(reference, one.answer.as_text(), code) if is_aligned else None
        held.append(dataclasses.replace(one, reference_column=column.column, reference=reference, alignment=alignment))
    return tuple(held)


def _alignment(reference: str, hypothesis: str, language: str) -> Alignment:
    by = normalizer_for(language)
    one, other = by.words(reference), by.words(hypothesis)
    (edits,) = edits_of([one], [other])
    return Alignment(by.name, edits.errors / max(1, edits.reference_length), edits, tuple(one), tuple(other))
