"""The command `earmark export`. Imports nothing heavy at its top."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from earmark.pipeline.console.job_file import split_names
from earmark.pipeline.console.logging_setup import set_up_logging, stop_on_sigterm
from earmark.reporting.export.options import FORMATS, ExportOptions

if TYPE_CHECKING:
    from earmark.reporting.export.options import Exported
from earmark.pipeline.console.parser import Commands
from earmark.schemas.text import counted


def add_export_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`; `commands` is what add_subparsers() returned."""
    command = commands.add_parser(
        "export",
        help="write annotations in a format that other programs read",
        description="Writes the annotations of an output as a manifest of NeMo's (nemo), a folder for Hugging Face's"
        " datasets with the audio in it (hf), captions, one file a recording (vtt, srt), lhotse's manifests (lhotse),"
        " or a table (csv). Nothing is written over.",
        epilog="example:\n  earmark export labels sure.csv --format csv --where 'transcribe.avg_logprob > -1'",
    )
    command.set_defaults(run=_export, for_beam=False)
    command.add_argument("output", help="folder or URL that annotate has written to")
    command.add_argument("to", help="file (nemo: .jsonl, csv: .csv) or folder to write, which must not be there yet")
    command.add_argument("--format", required=True, choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    command.add_argument(
        "--where",
        default="",
        metavar="CONDITION",
        help="expression of DuckDB's SQL over a row: emotion.score > 0.8 AND 'repetition' NOT IN transcribe.flags;"
        " extra['a column'] has what the manifest carried along",
    )
    command.add_argument(
        "--task",
        type=split_names,
        action="extend",
        default=[],
        metavar="TASK",
        help="tasks whose answers are written, by commas (default: all; of captions, the first in text)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _export(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.console.json_output import print_json
    from earmark.reporting.export.export import export

    set_up_logging(known.verbose)
    stop_on_sigterm()
    options = ExportOptions(known.format, known.where, tuple(known.task))
    found = export(known.output, known.to, options)
    if known.json:
        print_json(found)
    else:
        print_export(found)
    return 0


def print_export(found: "Exported") -> None:
    """What was written, and what was not, and why."""
    from rich.table import Table

    from earmark.pipeline.console.console import console, plain, say

    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("annotations", f"{found.of}")
    table.add_row("written", f"{found.rows}")
    if found.unknown:
        table.add_row("--where cannot tell", f"{found.unknown}")
    for error, count in found.left_out.items():
        table.add_row(plain(f"left out, {error}"), f"{count}")
    table.add_row(found.format, plain(found.to))
    console.print(table)
    for one in found.examples:
        say(f"  {one.id}: {one.message}")
    if found.in_containers and found.format in ("nemo", "lhotse"):
        say(
            f"{counted(found.in_containers, 'recording')} in containers: other programs do not find the audio by these"
            " names; --format hf brings it along"
        )
