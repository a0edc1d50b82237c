"""The commands `earmark compact` and `earmark parts`: their arguments, and what runs them. Imports nothing heavy."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.logging_setup import set_up_logging, stop_on_sigterm
from earmark.pipeline.console.parser import Commands
from earmark.reporting.card.write_card_after_run import write_card_after_run


def add_compact_commands(commands: Commands) -> None:
    """Adds the commands to those of `earmark`; `commands` is what add_subparsers() returned."""
    compact = commands.add_parser(
        "compact",
        help="merge the small parts of an output into large ones",
        epilog="example: earmark compact labels --part_mb 256",
    )
    compact.set_defaults(run=_compact, for_beam=False)
    compact.add_argument("--part_mb", type=int, default=128, help="largest part to make; parts below half are merged")
    compact.add_argument("--take_over", action="store_true", help="take the output over from a run that has not ended")
    parts = commands.add_parser("parts", help="list the files that hold the annotations, each row once")
    parts.set_defaults(run=_parts, for_beam=False)
    for command in (compact, parts):
        command.add_argument("output", help="folder or URL that annotate has written to")
        command.add_argument("--json", action="store_true", help="print JSON")


def _compact(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.compact import compact, print_compaction
    from earmark.pipeline.shutdown import interrupt_if_asked
    from earmark.transforms.stop_request import StopRequest

    set_up_logging(known.verbose)
    stop_on_sigterm()
    done = compact(known.output, known.part_mb, known.take_over)
    if known.json:
        print_json(done)
    else:
        print_compaction(done)
    write_card_after_run(known.output)
    interrupt_if_asked(StopRequest(done.run_id))
    return 0


def _parts(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.compact import part_urls

    parts = part_urls(known.output)
    if known.json:
        print_json(parts)
    else:
        print(*parts, sep="\n")
    return 0
