"""The options of `earmark evaluate` and `earmark compare`."""

from dataclasses import dataclass, field

from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.errors import JobError
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.suggest import suggest
from earmark.scoring.normalizers import find_normalizer

MEASURE_NAMES = tuple(dict.fromkeys(name for kind in ANSWER_KINDS.values() for name in kind.measures))


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Options by the names of the flags.

    Attributes:
        task: Names of tasks; empty for every task that has references.
        references: File of references; "" for the output's own columns.
        reference_column: COLUMN, or TASK=COLUMN for one task.
        shape: Shape of the rows in the file of references.
        normalizer: Normalizer of transcripts; "" to choose one by the language of each.
        language: Language of all references; "" for the language in the file of references, the job or the answer.
        score_as: Name of a measure for all tasks; "" for that of each task.
        by: Columns that figures are broken down by.
        worst: Number of worst rows to list.
        bootstrap: Number of resamples for the intervals; 0 for no intervals.
    """

    task: tuple[str, ...] = ()
    references: str = ""
    reference_column: tuple[str, ...] = ()
    shape: ManifestShape = field(default_factory=ManifestShape)
    normalizer: str = ""
    language: str = ""
    score_as: str = ""
    by: tuple[str, ...] = ()
    worst: int = 0
    bootstrap: int = 1000
    seed: int = 0

    def check(self) -> None:
        """Raises JobError with the value and the remedy for the first invalid option."""
        if self.normalizer:
            find_normalizer(self.normalizer)
        if self.score_as and self.score_as not in MEASURE_NAMES:
            choices = f"choose from {', '.join(MEASURE_NAMES)}{suggest(self.score_as, MEASURE_NAMES)}"
            raise JobError(f"--score_as={self.score_as} does not work: {choices}")
        for name in ("worst", "bootstrap", "seed"):
            if getattr(self, name) < 0:
                raise JobError(f"--{name}={getattr(self, name)} does not work: give 0 or more")
