"""`earmark report`: its arguments, and what runs it. Imports nothing heavy."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands
from earmark.reporting.report.options import AUDIO, ReportOptions
from earmark.schemas.text import counted


def add_report_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`."""
    default = ReportOptions()
    report = commands.add_parser(
        "report",
        help="show an output as a page to look at and listen to",
        description="Writes one HTML file that opens anywhere, without a network: figures of all rows, and a table of"
        " some with their audio, the flagged and least confident ones first.",
        epilog="example: earmark report labels --to report.html --clips 100",
    )
    report.set_defaults(run=_report, for_beam=False)
    report.add_argument("output", help="folder or URL that annotate has written to")
    report.add_argument(
        "--to", default=default.to, metavar="FILE", help="path or URL of the page (default: report.html in the output)"
    )
    report.add_argument(
        "--rows", type=int, default=default.rows, metavar="N", help=f"recordings in the table (default: {default.rows})"
    )
    report.add_argument(
        "--audio",
        choices=AUDIO,
        default=default.audio,
        help="embed: put clips into the page (default); link: to where the audio is, signed for object stores; none",
    )
    report.add_argument(
        "--clips", type=int, default=default.clips, metavar="N", help=f"clips to embed (default: {default.clips})"
    )
    report.add_argument("--json", action="store_true", help="print JSON")


def _report(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.console.logging_setup import set_up_logging
    from earmark.reporting.report.report import write_report

    set_up_logging(known.verbose)
    written = write_report(known.output, ReportOptions(known.to, known.rows, known.clips, known.audio))
    if known.json:
        print_json(written)
    else:
        print(
            f"{written.path}: {counted(written.annotated, 'recording')} and {counted(written.failed, 'failure')};"
            f" {counted(written.rows, 'row')} shown, {written.clips} with audio; {written.size_bytes / 1e6:.1f} MB"
        )
    return 0
