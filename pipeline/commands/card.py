"""The command `earmark card`. Imports nothing heavy at module level."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.parser import Commands


def add_card_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    command = commands.add_parser(
        "card",
        help="write the dataset card (README.md) of an output",
        description="Write README.md into an output as a Hugging Face dataset card: what it contains, how it was made"
        " and how to load it. Every run and compaction updates the card when it ends, unless README.md was written by"
        " someone else.",
        epilog="example: earmark card labels --license cc-by-4.0",
    )
    command.set_defaults(run=_card, for_beam=False)
    command.add_argument("output", help="folder or URL written by annotate")
    command.add_argument(
        "--license", default="", help="license of the data by its id on the Hub, such as cc-by-4.0; later cards keep it"
    )


def _card(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.reporting.card.dataset_card import CARD_PATH, LICENSE, write_card
    from earmark.schemas.errors import JobError
    from earmark.transforms.output.store import OutputStore

    if args.license and not LICENSE.fullmatch(args.license):
        raise JobError(f"--license={args.license} does not work: give an id of the Hub, such as cc-by-4.0 or other")
    store = OutputStore.at(args.output)
    try:
        is_written = write_card(store, args.license)
    except OSError as error:
        raise JobError(f"output {args.output} cannot be read or written: {error}") from error
    if not is_written:
        raise JobError(f"{store.root}/{CARD_PATH} is not by earmark and stays unchanged; rename it to get a card")
    print(f"{store.root}/{CARD_PATH}")
    return 0
