"""What a person sees of an evaluation. Imports neither Beam nor torch."""

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
MAX_LABELS = 12  # of a table of confusions that fits a terminal


def print_evaluation(found: Evaluation) -> None:
    for task in found.tasks:
        _print_task(task)
    for name, reason in found.skipped.items():
        say(f"{name} is not scored: {reason}")
    for note in found.notes:
        say(note)


def _print_task(task: TaskScores) -> None:
    table = Table(show_header=True, box=None, title_justify="left", padding=(0, 2, 0, 0))
    table.title = plain(f"{task.task}, {counted(task.rows, 'recording')}, beside the column {task.reference_column}")
    for header in ("", "figure", "95 % interval", "without failures"):
        table.add_column(header, justify="left" if not header else "right")
    for figure in task.figures:
        table.add_row(
            NAMES[figure.name],
            shown(figure.name, figure.value),
            shown_interval(figure),
            shown(figure.name, figure.without_failures) if task.failed else "",
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


def shown(name: str, value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.2f}" if name in POINTS else f"{100 * value:.2f} %"


def shown_interval(figure: Figure | Difference) -> str:
    if figure.low is None or figure.high is None:
        return NONE
    return f"{shown(figure.name, figure.low).removesuffix(' %')} to {shown(figure.name, figure.high)}"


def _about(task: TaskScores) -> Iterable[str]:
    """Sentences about what the figures were counted over."""
    if task.words and task.characters:
        yield _edits("words", task.words)
        yield _edits("characters", task.characters)
    if task.normalizers:
        yield "normalised by " + ", ".join(f"{name} ({rows})" for name, rows in sorted(task.normalizers.items()))
    yield from (task.signatures or {}).values()
    if task.calibration is not None:
        yield _calibration(task.calibration)
    if task.failed:
        yield f"{task.failed} of the recordings failed and count as empty answers"
    if task.failed_without_reference:
        yield (
            f"{task.failed_without_reference} more failed, and their references are not known; name the manifest with"
            " --references to count them"
        )
    if task.empty_references:
        said = f", with {task.insertions_in_empty} inserted words" if task.words else ""
        yield f"{task.empty_references} references are empty{said}"
    yield from about_ids(task.missing, "answers have no reference and are left out")
    yield from about_ids(task.unanswered, "references are of recordings that are not in the output, and are left out")
    yield from about_ids(task.unknown_labels, "references are no labels of the task, and count as answered wrongly")


def _edits(what: str, edits: Edits) -> str:
    return (
        f"{counted(edits.errors, 'error')} in {edits.reference_length} {what}: {edits.substitutions} substituted,"
        f" {edits.deletions} deleted, {edits.insertions} inserted, {edits.hits} right"
    )


def _calibration(calibration: Calibration) -> str:
    answers = counted(calibration.rows, "answer")
    return f"expected calibration error of the scores {100 * calibration.ece:.2f} % ({answers})"


def about_ids(ids: Ids | None, what: str) -> Iterable[str]:
    if ids is not None and ids.count:
        yield f"{ids.count} {what}: {join_some(ids.first, len(ids.first), ids.count)}"


def _print_confusion(confusion: Confusion) -> None:
    if len(confusion.hypotheses) > MAX_LABELS:
        say(f"  {len(confusion.hypotheses)} labels; --json has the table of confusions")
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
    for column, its in by_column.items():
        figures: Mapping[str, float | None] = its[0].figures
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column(plain(column))
        for header in ("recordings", *(NAMES[name] for name in figures)):
            table.add_column(header, justify="right")
        for group in its:
            values = [shown(name, value) for name, value in group.figures.items()]
            table.add_row(plain(group.value), str(group.rows), *values)
        console.print(table)


def _print_row(row: WorstRow) -> None:
    say(f"  {row.id}{' (failed)' if row.failed else ''}")
    lines = row.lines or ((row.reference, row.hypothesis),)
    for reference, hypothesis in lines:
        say(f"    ref  {reference}")
        say(f"    hyp  {hypothesis}")
