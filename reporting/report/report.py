"""`earmark report`: an output as one page that opens anywhere, without a network.

The figures cover all rows; the page's table shows a selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.reporting.part_tables import part_tables
from earmark.reporting.provenance import read_provenance
from earmark.reporting.report.content import Report
from earmark.reporting.report.failures import UnresolvedFailures
from earmark.reporting.report.figures import FigureCounter, columns_of
from earmark.reporting.report.options import ReportOptions
from earmark.reporting.report.page import write_page
from earmark.reporting.report.sample_rows import read_rows
from earmark.reporting.report.select_rows import RowSelector
from earmark.schemas.errors import JobError
from earmark.schemas.records import Failure
from earmark.scoring.answers import AnsweredTask, Output, open_output
from earmark.scoring.evaluate import evaluate
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.scores import Evaluation
from earmark.transforms.output.store import OutputStore

WORST = 20  # worst answers of each task


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report that was written.

    Attributes:
        annotated: Number of annotated recordings in the output.
        failed: Number of unresolved failures.
        rows: Number of rows in the table.
        clips: Number of recordings whose audio is embedded.
    """

    path: str
    annotated: int
    failed: int
    rows: int
    clips: int
    size_bytes: int


def write_report(output_url: str, options: ReportOptions) -> WrittenReport:
    """Read an output and write its report.

    Raises:
        JobError: An option makes no sense, the output cannot be read or is empty, or the page cannot be written.
    """
    options.check()
    output = open_output(output_url)
    try:
        report = make_report(output, options)
    except OSError as error:
        raise JobError(f"output {output.store.root} cannot be read: {error}") from error
    page = write_page(report, options)
    return WrittenReport(
        page.path,
        report.figures.annotated,
        sum(cause.count for cause in report.failures),
        len(report.rows),
        page.clips,
        page.size_bytes,
    )


def make_report(output: Output, options: ReportOptions) -> Report:
    """Collect the content of the report.

    Raises:
        JobError: The output is empty, or a file in it is damaged.
        OSError: The output cannot be read.
    """
    store, tasks = output.store, output.tasks
    provenance = read_provenance(store)
    models = {task.name: provenance.model_name(task) for task in provenance.job.tasks}
    paths = store.parts()
    failures, has_references = _failures_and_references(store, paths, tasks)
    evaluation, scoring_error = _evaluate(store.root) if has_references else (None, "")
    worst = [row.id for task in evaluation.tasks for row in task.worst] if evaluation else []
    counter, selector = FigureCounter(tasks), RowSelector(tasks, options.rows, worst)
    for part, _ in part_tables(store, paths, columns_of(tasks)):
        counter.add(part)
        selector.add(part)
        failures.resolve(part["id"].to_pylist())
    causes = failures.causes()
    if not paths and not causes:
        raise JobError(f"{store.root} has no annotations and no failures yet; run `earmark annotate` first")
    rows = read_rows(store, paths, tasks, selector.selected(), _scored_transcript(tasks, evaluation), output.language)
    return Report(store.root, tasks, models, counter.figures(), causes, evaluation, scoring_error, rows)


def _failures_and_references(
    store: OutputStore, paths: Sequence[str], tasks: Sequence[AnsweredTask]
) -> tuple[UnresolvedFailures, bool]:
    """All failures, also of recordings that were annotated later; and whether any row has a reference."""
    failures = UnresolvedFailures()
    names = {task.name for task in tasks}
    has_references = False
    for table, report in part_tables(store, paths, ["reference", "extra"]):
        failures.add(report.failures)
        has_references = (
            has_references
            or table["reference"].null_count < len(table)
            or _names_a_task(table["extra"].to_pylist(), names)
        )
    failures.add(Failure(**row) for row in store.read_failures().to_pylist())
    return failures, has_references


def _names_a_task(extras: Sequence[Sequence[tuple[str, str]] | None], names: set[str]) -> bool:
    return any(name in names for extra in extras for name, _ in extra or ())


def _evaluate(output_url: str) -> tuple[Evaluation | None, str]:
    """The scores, or else why there are no scores."""
    try:
        return evaluate(output_url, EvaluateOptions(worst=WORST)), ""
    except JobError as error:  # the page shows the error, and everything that needs no scores
        return None, str(error)


def _scored_transcript(tasks: Sequence[AnsweredTask], evaluation: Evaluation | None) -> AnsweredTask | None:
    """The task whose transcripts are scored against the column `reference`."""
    if evaluation is None:
        return None
    scored = {
        score.task for score in evaluation.tasks if score.kind == "transcript" and score.reference_column == "reference"
    }
    return next((task for task in tasks if task.name in scored), None)
