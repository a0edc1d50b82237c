"""The result of an evaluation: figures, the rows they cover, and the rows that have none."""

from collections.abc import Mapping
from dataclasses import dataclass

from earmark.scoring.ids import Ids
from earmark.scoring.labels import Calibration, Confusion
from earmark.scoring.pairs import Figure
from earmark.scoring.word_errors import Edits


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of the rows that share a value of a column."""

    column: str
    value: str
    rows: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class WorstRow:
    """A row with errors.

    Attributes:
        badness: Key of the ranking: the word error rate; 100 minus chrF; 1 plus the score of a wrong label.
        lines: Aligned lines of the normalised reference and hypothesis, for transcripts.
    """

    id: str
    badness: float
    failed: bool
    reference: str
    hypothesis: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TaskScores:
    """Scores of the answers to one task.

    Attributes:
        kind: Name of the measure.
        reference_column: Column of the references.
        rows: Number of recordings with a reference and an answer or a failure; the denominator.
        failed: Number of failures in `rows`, which count as empty answers or wrong labels.
        failed_without_reference: Number of failures without a reference, which no figure covers.
        missing: Recordings with an answer but no reference.
        unanswered: Recordings with a reference that are not in the output.
        empty_references: Number of rows whose reference has no words; words of their answers count as insertions.
        insertions_in_empty: Number of words inserted in those rows.
        unknown_labels: Recordings whose reference is not one of the task's labels, so that no answer is right.
        normalizers: Number of rows by the name of their normalizer, for transcripts.
        signatures: sacrebleu's signatures of BLEU and chrF.
        words, characters: Edits that turn references into transcripts.
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
        """The figure of a name. Raises KeyError where the measure has no such figure."""
        return {figure.name: figure for figure in self.figures}[name]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of an output.

    Attributes:
        skipped: Tasks without references, with the reason.
        notes: Sentences about the file of references.
    """

    output: str
    bootstrap: int
    seed: int
    tasks: tuple[TaskScores, ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...]

    def task(self, name: str) -> TaskScores:
        """The scores of a task. Raises KeyError for a task that was not scored."""
        return {task.task: task for task in self.tasks}[name]
