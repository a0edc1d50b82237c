"""What a report shows, before it becomes a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earmark.reporting.report.figures import FailureCause, Figures
from earmark.reporting.report.sample_rows import ShownRow
from earmark.scoring.answers import AnsweredTask
from earmark.scoring.scores import Evaluation


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is made of.

    Attributes:
        models: what a person calls the model of each task.
        evaluation: None where no row has a reference, or why they cannot be scored as a sentence.
    """

    place: str
    tasks: Sequence[AnsweredTask]
    models: Mapping[str, str]
    figures: Figures
    failures: Sequence[FailureCause]
    evaluation: Evaluation | str | None
    rows: Sequence[ShownRow]
