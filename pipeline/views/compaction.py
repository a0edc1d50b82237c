"""Printed output of `earmark compact`: the counts of merged parts. Imports neither Beam nor torch."""

from rich.markup import escape
from rich.table import Table

from earmark.pipeline.compact import Compaction
from earmark.pipeline.console.console import console
from earmark.schemas.text import counted


def print_compaction(compaction: Compaction) -> None:
    if not compaction.merged:
        console.print(f"Nothing to merge in {counted(compaction.parts_before, 'part')}.")
        return
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("parts before", str(compaction.parts_before))
    table.add_row("parts now", str(compaction.parts_after))
    sizes = f"{compaction.replaced_bytes / 1e6:.1f} MB to {compaction.merged_bytes / 1e6:.1f} MB"
    table.add_row("merged", f"{compaction.replaced} into {compaction.merged}, {sizes}")
    table.add_row("annotations", escape(f"{compaction.output}/annotations"))
    console.print(table)
