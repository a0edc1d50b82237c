"""`earmark report`: an output as one page that opens anywhere, without a network.

Figures are of all rows, part by part; the page's table shows a choice of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.reporting.part_tables import part_tables
from earmark.reporting.provenance import read_provenance
from earmark.reporting.report.choose_rows import RowChooser
from earmark.reporting.report.content import Report
from earmark.reporting.report.failures import StandingFailures
from earmark.reporting.report.figures import FigureCounter, columns_of
from earmark.reporting.report.options import ReportOptions
from earmark.reporting.report.page import write_page
from earmark.reporting.report.sample_rows import read_rows
from earmark.schemas.errors import JobError
from earmark.schemas.records import Failure
from earmark.scoring.answers import AnsweredTask, Output, open_output
from earmark.scoring.evaluate import evaluate
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.scores import Evaluation
from earmark.transforms.output.store import OutputStore

WORST = 20  # alignments of each task


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """Where a report is, and what it shows. `clips`: recordings whose audio is in it."""

    path: str
    annotated: int
    failed: int
    rows: int
    clips: int
    size_bytes: int


def write_report(place: str, options: ReportOptions) -> WrittenReport:
    """Reads an output and writes its report.

    Raises:
        JobError: an option makes no sense, the output cannot be read or has no annotations and no failures, or the
            page cannot be written.
    """
    options.check()
    output = open_output(place)
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
    store, tasks = output.store, output.tasks
    provenance = read_provenance(store)
    models = {task.name: provenance.model_name(task) for task in provenance.job.tasks}
    paths = store.parts()
    failures, has_references = _first_look(store, paths, tasks)
    evaluation = _evaluate(store.root) if has_references else None
    worst = [row.id for task in evaluation.tasks for row in task.worst] if isinstance(evaluation, Evaluation) else []
    counter, chooser = FigureCounter(tasks), RowChooser(tasks, options.rows, worst)
    for part, _ in part_tables(store, paths, columns_of(tasks)):
        counter.add(part)
        chooser.add(part)
        failures.leave_out(part["id"].to_pylist())
    causes = failures.causes()
    if not paths and not causes:
        raise JobError(f"{store.root} has no annotations and no failures yet; run `earmark annotate` first")
    rows = read_rows(store, paths, tasks, chooser.chosen(), _compared(tasks, evaluation), output.language)
    return Report(store.root, tasks, models, counter.figures(), causes, evaluation, rows)


def _first_look(
    store: OutputStore, paths: Sequence[str], tasks: Sequence[AnsweredTask]
) -> tuple[StandingFailures, bool]:
    """All failures, of which later some turn out to be annotated; and whether any row brought a reference."""
    failures = StandingFailures()
    names = {task.name for task in tasks}
    found = False
    for table, report in part_tables(store, paths, ["reference", "extra"]):
        failures.add(report.failures)
        found = found or table["reference"].null_count < len(table) or _names_a_task(table["extra"].to_pylist(), names)
    failures.add(Failure(**row) for row in store.read_failures().to_pylist())
    return failures, found


def _names_a_task(extras: Sequence[Sequence[tuple[str, str]] | None], names: set[str]) -> bool:
    return any(name in names for extra in extras for name, _ in extra or ())


def _evaluate(place: str) -> Evaluation | str:
    try:
        return evaluate(place, EvaluateOptions(worst=WORST))
    except JobError as error:  # the page says it, and shows all else
        return str(error)


def _compared(tasks: Sequence[AnsweredTask], evaluation: Evaluation | str | None) -> AnsweredTask | None:
    """The transcript whose references are the column `reference`."""
    if not isinstance(evaluation, Evaluation):
        return None
    scored = {
        score.task for score in evaluation.tasks if score.kind == "transcript" and score.reference_column == "reference"
    }
    return next((task for task in tasks if task.name in scored), None)
