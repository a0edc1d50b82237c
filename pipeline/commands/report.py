"""The command `earmark report`. Imports nothing heavy at module level."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands
from earmark.reporting.report.options import AUDIO, ReportOptions
from earmark.schemas.text import counted


def add_report_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    default = ReportOptions()
    report = commands.add_parser(
        "report",
        help="write an HTML page to browse and listen to an output",
        description="Write one self-contained HTML file that works offline: statistics of all rows, and a table of"
        " rows with their audio, most suspect first.",
        epilog="example: earmark report labels --to report.html --clips 100",
    )
    report.set_defaults(run=_report, for_beam=False)
    report.add_argument("output", help="folder or URL written by annotate")
    report.add_argument(
        "--to",
        default=default.to,
        metavar="FILE",
        help="path or URL of the page to write (default: report.html in the output)",
    )
    report.add_argument(
        "--rows", type=int, default=default.rows, metavar="N", help=f"rows in the table (default: {default.rows})"
    )
    report.add_argument(
        "--audio",
        choices=AUDIO,
        default=default.audio,
        help="embed: store clips in the page (default); link: link to the source audio, signed for object stores; none",
    )
    report.add_argument(
        "--clips", type=int, default=default.clips, metavar="N", help=f"clips to embed (default: {default.clips})"
    )
    report.add_argument("--json", action="store_true", help="print JSON")


def _report(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.console.logging_setup import set_up_logging
    from earmark.reporting.report.report import write_report

    set_up_logging(args.verbose)
    report = write_report(args.output, ReportOptions(args.to, args.rows, args.clips, args.audio))
    if args.json:
        print_json(report)
    else:
        print(
            f"{report.path}: {counted(report.annotated, 'recording')} and {counted(report.failed, 'failure')};"
            f" {counted(report.rows, 'row')} shown, {report.clips} with audio; {report.size_bytes / 1e6:.1f} MB"
        )
    return 0
