"""The command `earmark export`. Imports nothing heavy at module level."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.job_file import split_names
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.logging_setup import set_up_logging, stop_on_sigterm
from earmark.pipeline.console.parser import Commands
from earmark.reporting.export.formats import FORMATS
from earmark.reporting.export.options import ExportOptions


def add_export_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    formats = [f"{file_format.about} ({name})" for name, file_format in FORMATS.items()]
    files = ", ".join(f"{name}: {file_format.suffix}" for name, file_format in FORMATS.items() if file_format.suffix)
    command = commands.add_parser(
        "export",
        help="convert annotations for NeMo, Hugging Face, captions or CSV",
        description=f"Write the annotations of an output as {'; '.join(formats)}."
        " Existing files are never overwritten.",
        epilog="example:\n  earmark export labels sure.csv --format csv --where 'transcribe.avg_logprob > -1'",
    )
    command.set_defaults(run=_export, for_beam=False)
    command.add_argument("output", help="folder or URL written by annotate")
    command.add_argument("to", help=f"file ({files}) or folder to write, which must not exist yet")
    command.add_argument("--format", required=True, choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    command.add_argument(
        "--where",
        default="",
        metavar="CONDITION",
        help="DuckDB SQL expression over a row's columns: emotion.score > 0.8 AND 'repetition' NOT IN transcribe.flags;"
        " other columns of the manifest are extra['NAME']",
    )
    command.add_argument(
        "--task",
        type=split_names,
        action="extend",
        default=[],
        metavar="TASK,…",
        help="tasks whose answers are written, comma-separated (default: all; for captions, the first text task)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _export(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.views.export import print_export
    from earmark.reporting.export.export import export

    set_up_logging(args.verbose)
    stop_on_sigterm()
    options = ExportOptions(args.format, args.where, tuple(args.task))
    exported = export(args.output, args.to, options)
    if args.json:
        print_json(exported)
    else:
        print_export(exported)
    return 0
