"""Printed output of `earmark export`: the counts of rows. Imports neither Beam nor torch."""

from rich.table import Table

from earmark.pipeline.console.console import console, plain, say
from earmark.reporting.export.formats import FORMATS
from earmark.reporting.export.options import Exported
from earmark.schemas.text import counted


def print_export(exported: Exported) -> None:
    """Print how many annotations were written, and how many were not and why."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("annotations", f"{exported.of}")
    table.add_row("written", f"{exported.rows}")
    if exported.unknown:
        table.add_row("--where is NULL", f"{exported.unknown}")
    for error, count in exported.left_out.items():
        table.add_row(plain(f"skipped, {error}"), f"{count}")
    table.add_row(exported.format, plain(exported.to))
    console.print(table)
    for skipped in exported.examples:
        say(f"  {skipped.id}: {skipped.message}")
    if exported.in_containers and FORMATS[exported.format].refers_to_audio:
        with_audio = " or ".join(
            f"--format {name}" for name, file_format in FORMATS.items() if file_format.includes_audio
        )
        say(
            f"{counted(exported.in_containers, 'recording')} in containers: other programs cannot find the audio by"
            f" these names; {with_audio} includes it"
        )
