"""Printed output of `earmark evaluate`: scores. Imports neither Beam nor torch."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from earmark.pipeline.console.console import console, plain, say
from earmark.schemas.text import counted, join_some
from earmark.scoring.comparison import Difference
from earmark.scoring.figures import NAMES, POINTS
from earmark.scoring.ids import Ids
from earmark.scoring.labels import Calibration, Confusion
from earmark.scoring.pairs import Figure
from earmark.scoring.scores import Evaluation, Group, TaskScores, WorstRow
from earmark.scoring.word_errors import Edits

NONE = "-"
MAX_LABELS = 12  # columns of a confusion matrix that fits a terminal


def print_evaluation(evaluation: Evaluation) -> None:
    for task in evaluation.tasks:
        _print_task(task)
    for name, reason in evaluation.skipped.items():
        say(f"{name} is not scored: {reason}")
    for note in evaluation.notes:
        say(note)


def _print_task(task: TaskScores) -> None:
    table = Table(show_header=True, box=None, title_justify="left", padding=(0, 2, 0, 0))
    table.title = plain(
        f"{task.task}, {counted(task.rows, 'recording')}, references from the column {task.reference_column}"
    )
    for header in ("", "figure", "95 % interval", "without failures"):
        table.add_column(header, justify="left" if not header else "right")
    for figure in task.figures:
        table.add_row(
            NAMES[figure.name],
            format_figure(figure.name, figure.value),
            format_interval(figure),
            format_figure(figure.name, figure.without_failures) if task.failed else "",
        )
    console.print(table)
    for line in _about(task):
        say(f"  {line}")
    if task.confusion is not None:
        _print_confusion(task.confusion)
    _print_groups(task.groups)
    for row in task.worst:
        _print_row(row)
    console.print()


def format_figure(name: str, value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.2f}" if name in POINTS else f"{100 * value:.2f} %"


def format_interval(figure: Figure | Difference) -> str:
    if figure.low is None or figure.high is None:
        return NONE
    return f"{format_figure(figure.name, figure.low).removesuffix(' %')} to {format_figure(figure.name, figure.high)}"


def _about(task: TaskScores) -> Iterable[str]:
    """Yield lines about the rows that the figures were computed from."""
    if task.words and task.characters:
        yield _edits("words", task.words)
        yield _edits("characters", task.characters)
    if task.normalizers:
        yield "normalised by " + ", ".join(f"{name} ({rows})" for name, rows in sorted(task.normalizers.items()))
    yield from (task.signatures or {}).values()
    if task.calibration is not None:
        yield _calibration(task.calibration)
    if task.failed:
        yield f"{counted(task.failed, 'recording')} failed, counted as empty answers"
    if task.failed_without_reference:
        yield (
            f"{task.failed_without_reference} more failed without a known reference; name the manifest with"
            " --references to count them"
        )
    if task.empty_references:
        inserted = f", with {counted(task.insertions_in_empty, 'inserted word')}" if task.words else ""
        yield f"{counted(task.empty_references, 'empty reference')}{inserted}"
    yield from list_ids(task.missing, "answer", "without a reference, not scored")
    yield from list_ids(task.unanswered, "reference", "without a recording in the output, not scored")
    yield from list_ids(task.unknown_labels, "reference", "outside the task's labels, scored as wrong")


def _edits(what: str, edits: Edits) -> str:
    return (
        f"{counted(edits.errors, 'error')} in {edits.reference_length} {what}: {edits.substitutions} substituted,"
        f" {edits.deletions} deleted, {edits.insertions} inserted, {edits.hits} correct"
    )


def _calibration(calibration: Calibration) -> str:
    answers = counted(calibration.rows, "answer")
    return f"expected calibration error of the scores {100 * calibration.ece:.2f} % ({answers})"


def list_ids(ids: Ids | None, noun: str, remark: str) -> Iterable[str]:
    """Yield a line with the number of ids, a remark and the first ids."""
    if ids is not None and ids.count:
        yield f"{counted(ids.count, noun)} {remark}: {join_some(ids.first, len(ids.first), ids.count)}"


def _print_confusion(confusion: Confusion) -> None:
    if len(confusion.hypotheses) > MAX_LABELS:
        say(f"  {len(confusion.hypotheses)} labels; --json has the confusion matrix")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("reference \\ answer")
    for name in confusion.hypotheses:
        table.add_column(plain(name), justify="right")
    for name, counts in zip(confusion.references, confusion.counts, strict=True):
        table.add_row(plain(name), *map(str, counts))
    console.print(table)


def _print_groups(groups: Sequence[Group]) -> None:
    by_column: dict[str, list[Group]] = {}
    for group in groups:
        by_column.setdefault(group.column, []).append(group)
    for column, members in by_column.items():
        figures: Mapping[str, float | None] = members[0].figures
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column(plain(column))
        for header in ("recordings", *(NAMES[name] for name in figures)):
            table.add_column(header, justify="right")
        for group in members:
            values = [format_figure(name, value) for name, value in group.figures.items()]
            table.add_row(plain(group.value), str(group.rows), *values)
        console.print(table)


def _print_row(row: WorstRow) -> None:
    say(f"  {row.id}{' (failed)' if row.failed else ''}")
    lines = row.lines or ((row.reference, row.hypothesis),)
    for reference, hypothesis in lines:
        say(f"    ref  {reference}")
        say(f"    hyp  {hypothesis}")
