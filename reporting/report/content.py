"""The content of a report, before it is rendered as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earmark.reporting.report.figures import FailureCause, Figures
from earmark.reporting.report.sample_rows import ReportRow
from earmark.scoring.answers import AnsweredTask
from earmark.scoring.scores import Evaluation


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a report.

    Attributes:
        models: Readable name of each task's model.
        evaluation: None where no row has a reference, or the answers cannot be scored.
        scoring_error: Why the answers cannot be scored, as a sentence; "" where they are, or no row has a reference.
        rows: Rows of the page's table.
    """

    output_url: str
    tasks: Sequence[AnsweredTask]
    models: Mapping[str, str]
    figures: Figures
    failures: Sequence[FailureCause]
    evaluation: Evaluation | None
    scoring_error: str
    rows: Sequence[ReportRow]
