"""The command `earmark card`. Imports nothing heavy at its top."""

import argparse
from collections.abc import Sequence

from earmark.pipeline.console.parser import Commands


def add_card_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`; `commands` is what add_subparsers() returned."""
    command = commands.add_parser(
        "card",
        help="write the dataset card of an output anew: its README.md",
        description="Writes README.md into an output, in the format of Hugging Face's Hub: what is in it, what made it,"
        " how to load it. Runs and compactions do so when they end, as long as the file is earmark's.",
        epilog="example: earmark card labels --license cc-by-4.0",
    )
    command.set_defaults(run=_card, for_beam=False)
    command.add_argument("output", help="folder or URL that annotate has written to")
    command.add_argument(
        "--license", default="", help="of the data, as the Hub calls it, such as cc-by-4.0; later cards keep it"
    )


def _card(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.reporting.card.dataset_card import CARD_PATH, LICENSE, write_card
    from earmark.schemas.errors import JobError
    from earmark.transforms.output.store import OutputStore

    if known.license and not LICENSE.fullmatch(known.license):
        raise JobError(f"--license={known.license} does not work: name it as the Hub does, such as cc-by-4.0 or other")
    store = OutputStore.at(known.output)
    try:
        written = write_card(store, known.license)
    except OSError as error:
        raise JobError(f"output {known.output} cannot be read or written: {error}") from error
    if not written:
        raise JobError(f"{store.root}/{CARD_PATH} is not by earmark and stays unchanged; rename it to get a card")
    print(f"{store.root}/{CARD_PATH}")
    return 0
