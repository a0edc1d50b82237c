"""The commands `earmark compact` and `earmark parts`. Import nothing heavy at module level."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.logging_setup import set_up_logging, stop_on_sigterm
from earmark.pipeline.console.parser import Commands
from earmark.reporting.card.write_card_after_run import write_card_after_run


def add_compact_commands(commands: Commands) -> None:
    """Add the subcommands to the parser of `earmark`."""
    compact = commands.add_parser(
        "compact",
        help="merge the small parts of an output into larger ones",
        description="Merge the small Parquet files (parts) of an output into larger ones. Run it again to resume.",
        epilog="example: earmark compact labels --part_mb 256",
    )
    compact.set_defaults(run=_compact, for_beam=False)
    compact.add_argument(
        "--part_mb",
        type=int,
        default=128,
        metavar="N",
        help="maximum size of a merged part in MB; parts smaller than half of it are merged (default: 128)",
    )
    compact.add_argument("--take_over", action="store_true", help="take over an output that another run still holds")
    parts = commands.add_parser(
        "parts",
        help="list the Parquet files of an output",
        description="List the Parquet files (parts) of an output that together hold every annotation exactly once.",
    )
    parts.set_defaults(run=_parts, for_beam=False)
    for command in (compact, parts):
        command.add_argument("output", help="folder or URL written by annotate")
        command.add_argument("--json", action="store_true", help="print JSON")


def _compact(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.compact import compact
    from earmark.pipeline.shutdown import interrupt_if_stopped
    from earmark.pipeline.views.compaction import print_compaction
    from earmark.transforms.stop_request import StopRequest

    set_up_logging(args.verbose)
    stop_on_sigterm()
    compaction = compact(args.output, args.part_mb, args.take_over)
    if args.json:
        print_json(compaction)
    else:
        print_compaction(compaction)
    write_card_after_run(args.output)
    interrupt_if_stopped(StopRequest(compaction.run_id))
    return 0


def _parts(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.compact import part_urls

    parts = part_urls(args.output)
    if args.json:
        print_json(parts)
    else:
        print(*parts, sep="\n")
    return 0
