"""What `earmark evaluate` and `earmark compare` can be told."""

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
        task: names; none for every task that has references.
        references: a file that has them; "" for the output's own columns.
        reference_column: COLUMN, or TASK=COLUMN for one task.
        shape: how the rows of the file of references are to be read.
        normalizer: of transcripts; "" to choose by the language of each.
        language: of the references of all rows; "" to go by what the file of references, the job or the answer says.
        score_as: Name of a measure for all tasks; "" to go by the task.
        by: columns that figures are broken down by.
        worst: how many of the worst rows are shown.
        bootstrap: resamples of the intervals; 0 for none.
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
        """Raises JobError with the value and the remedy for the first option that makes no sense."""
        if self.normalizer:
            find_normalizer(self.normalizer)
        if self.score_as and self.score_as not in MEASURE_NAMES:
            known = f"choose from {', '.join(MEASURE_NAMES)}{suggest(self.score_as, MEASURE_NAMES)}"
            raise JobError(f"--score_as={self.score_as} does not work: {known}")
        for name in ("worst", "bootstrap", "seed"):
            if getattr(self, name) < 0:
                raise JobError(f"--{name}={getattr(self, name)} does not work: give 0 or more")
