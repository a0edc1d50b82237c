"""What a person sees of a comparison of systems. Imports neither Beam nor torch."""

from rich.table import Table

from earmark.pipeline.console.console import console, say
from earmark.pipeline.views.scores import NONE, about_ids, shown, shown_interval
from earmark.schemas.text import counted
from earmark.scoring.comparison import Agreement, Comparison, DifferentRow, Kept
from earmark.scoring.figures import NAMES

PADDING = (0, 2, 0, 0)


def print_comparison(found: Comparison) -> None:
    say(f"{found.task}: {counted(found.rows, 'recording')} in all outputs, {found.with_reference} with a reference")
    if found.no_references:
        say(f"no figures by references: {found.no_references}")
    _print_systems(found)
    _print_differences(found)
    _print_agreements(found)
    for row in found.different:
        _print_row(row)
    for note in found.notes:
        say(note)
    if found.kept:
        _print_kept(found.kept)


def _print_systems(found: Comparison) -> None:
    failed = any(system.failed for system in found.systems)
    table = Table(box=None, padding=PADDING)
    for header in ("", "figure", "", "95 % interval", *(["without failures"] if failed else [])):
        table.add_column(header, justify="left" if header == "figure" else "right", no_wrap=True)
    for system in found.systems:
        say(f"{system.letter}  {system.output}: {counted(system.rows, 'recording')}, {system.failed} failed")
        for line in about_ids(system.lacks, f"recordings are not in {system.letter}, and are left out"):
            say(f"   {line}")
        for figure in system.figures:
            without = [shown(figure.name, figure.without_failures)] if failed else []
            value = shown(figure.name, figure.value)
            table.add_row(system.letter, NAMES[figure.name], value, shown_interval(figure), *without)
    if not found.no_references:
        console.print(table)


def _print_differences(found: Comparison) -> None:
    if not found.differences:
        return
    table = Table(box=None, padding=PADDING)
    for header in ("", "difference of", "figure", "95 % interval, paired"):
        table.add_column(header, justify="right" if header.startswith(("figure", "95")) else "left")
    for one in found.differences:
        table.add_row(f"{one.second} - {one.first}", NAMES[one.name], shown(one.name, one.value), shown_interval(one))
    console.print(table)


def _print_agreements(found: Comparison) -> None:
    table = Table(box=None, padding=PADDING)
    names = list(next((one.figures for one in found.agreements if one.figures), {}))
    table.add_column("")
    for header in ("both answer", "differ", *(NAMES[name] for name in names)):
        table.add_column(header, justify="right")
    for one in found.agreements:
        table.add_row(f"{one.second} against {one.first}", str(one.rows), str(one.differing), *_figures(one, names))
    console.print(table)


def _figures(one: Agreement, names: list[str]) -> list[str]:
    return [shown(name, one.figures[name]) if name in one.figures else NONE for name in names]


def _print_row(row: DifferentRow) -> None:
    say(f"  {row.id}")
    if row.reference is not None:
        say(f"    reference  {row.reference}")
    for letter, answer in row.answers.items():
        say(f"    {letter:<9}  {'(failed)' if answer is None else answer}")


def _print_kept(kept: Kept) -> None:
    say(f"{kept.rows} of {counted(kept.of, 'recording')} passed {kept.expression}: {kept.to}")
    if kept.unknown:
        say(f"  of {kept.unknown} it is not known, as a system failed; they are left out")
