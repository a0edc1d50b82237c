"""What an evaluation finds: figures, what they were counted over, and what was left out."""

from collections.abc import Mapping
from dataclasses import dataclass

from earmark.scoring.ids import Ids
from earmark.scoring.labels import Calibration, Confusion
from earmark.scoring.pairs import Figure
from earmark.scoring.word_errors import Edits


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of the rows that have one value in a column."""

    column: str
    value: str
    rows: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class WorstRow:
    """A row that went wrong.

    Attributes:
        badness: what it is ranked by: its word error rate; 100 less its chrF; 1 and the score of a wrong label.
        lines: of a transcript, the reference above the hypothesis, normalised.
    """

    id: str
    badness: float
    failed: bool
    reference: str
    hypothesis: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TaskScores:
    """How good the answers to one task are.

    Attributes:
        reference_column: where the references were found.
        rows: recordings with a reference and an answer or a failure; the denominator.
        failed: of them, those that failed, which count as empty answers or wrong labels.
        failed_without_reference: failures that no figure knows of.
        missing: recordings that have an answer and no reference.
        unanswered: references of recordings that the output neither annotates nor failed at.
        empty_references: rows whose reference has no words; what was said there counts as insertions.
        insertions_in_empty: those insertions, in words.
        unknown_labels: references that are none of the task's labels; no answer to them is right.
        normalizers: how many rows were normalised by which, of a transcript.
        signatures: sacrebleu's, of BLEU and chrF.
        words, characters: what turns references into transcripts.
    """

    task: str
    kind: str
    model: str
    reference_column: str
    rows: int
    failed: int
    failed_without_reference: int
    missing: Ids
    unanswered: Ids
    figures: tuple[Figure, ...]
    groups: tuple[Group, ...]
    worst: tuple[WorstRow, ...]
    empty_references: int = 0
    insertions_in_empty: int = 0
    normalizers: Mapping[str, int] | None = None
    words: Edits | None = None
    characters: Edits | None = None
    signatures: Mapping[str, str] | None = None
    unknown_labels: Ids | None = None
    confusion: Confusion | None = None
    calibration: Calibration | None = None

    def figure(self, name: str) -> Figure:
        """Raises KeyError for a figure that this kind of task has not."""
        return {figure.name: figure for figure in self.figures}[name]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of an output.

    Attributes:
        skipped: tasks without references, and why they have none.
        notes: what is worth knowing of the file of references.
    """

    output: str
    bootstrap: int
    seed: int
    tasks: tuple[TaskScores, ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...]

    def task(self, name: str) -> TaskScores:
        """Raises KeyError for a task that was not scored."""
        return {task.task: task for task in self.tasks}[name]
