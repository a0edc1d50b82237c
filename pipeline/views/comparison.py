"""Printed output of `earmark compare`: a comparison. Imports neither Beam nor torch."""

from rich.table import Table

from earmark.pipeline.console.console import console, say
from earmark.pipeline.views.scores import NONE, format_figure, format_interval, list_ids
from earmark.schemas.text import counted
from earmark.scoring.comparison import Agreement, Comparison, DifferentRow, KeptRows
from earmark.scoring.figures import NAMES

PADDING = (0, 2, 0, 0)


def print_comparison(comparison: Comparison) -> None:
    rows = counted(comparison.rows, "recording")
    say(f"{comparison.task}: {rows} in all outputs, {comparison.with_reference} with a reference")
    if comparison.no_references:
        say(f"no scores against references: {comparison.no_references}")
    _print_systems(comparison)
    _print_differences(comparison)
    _print_agreements(comparison)
    for row in comparison.different:
        _print_row(row)
    for note in comparison.notes:
        say(note)
    if comparison.kept:
        _print_kept_rows(comparison.kept)


def _print_systems(comparison: Comparison) -> None:
    failed = any(system.failed for system in comparison.systems)
    table = Table(box=None, padding=PADDING)
    for header in ("", "figure", "", "95 % interval", *(["without failures"] if failed else [])):
        table.add_column(header, justify="left" if header == "figure" else "right", no_wrap=True)
    for system in comparison.systems:
        say(f"{system.letter}  {system.output}: {counted(system.rows, 'recording')}, {system.failed} failed")
        for line in list_ids(system.lacks, "recording", f"missing from {system.letter}, not compared"):
            say(f"   {line}")
        for figure in system.figures:
            without = [format_figure(figure.name, figure.without_failures)] if failed else []
            value = format_figure(figure.name, figure.value)
            table.add_row(system.letter, NAMES[figure.name], value, format_interval(figure), *without)
    if not comparison.no_references:
        console.print(table)


def _print_differences(comparison: Comparison) -> None:
    if not comparison.differences:
        return
    table = Table(box=None, padding=PADDING)
    for header in ("", "difference of", "figure", "95 % interval, paired"):
        table.add_column(header, justify="right" if header.startswith(("figure", "95")) else "left")
    for difference in comparison.differences:
        systems = f"{difference.second} - {difference.first}"
        value = format_figure(difference.name, difference.value)
        table.add_row(systems, NAMES[difference.name], value, format_interval(difference))
    console.print(table)


def _print_agreements(comparison: Comparison) -> None:
    table = Table(box=None, padding=PADDING)
    names = list(next((agreement.figures for agreement in comparison.agreements if agreement.figures), {}))
    table.add_column("")
    for header in ("answered by both", "different", *(NAMES[name] for name in names)):
        table.add_column(header, justify="right")
    for agreement in comparison.agreements:
        systems = f"{agreement.second} against {agreement.first}"
        table.add_row(systems, str(agreement.rows), str(agreement.differing), *_figures(agreement, names))
    console.print(table)


def _figures(agreement: Agreement, names: list[str]) -> list[str]:
    return [format_figure(name, agreement.figures[name]) if name in agreement.figures else NONE for name in names]


def _print_row(row: DifferentRow) -> None:
    say(f"  {row.id}")
    if row.reference is not None:
        say(f"    reference  {row.reference}")
    for letter, answer in row.answers.items():
        say(f"    {letter:<9}  {'(failed)' if answer is None else answer}")


def _print_kept_rows(kept: KeptRows) -> None:
    say(f"{kept.rows} of {counted(kept.of, 'recording')} passed {kept.expression}: {kept.to}")
    if kept.unknown:
        say(f"  skipped {counted(kept.unknown, 'recording')} for which the condition is NULL, as a system failed")
