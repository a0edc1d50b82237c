"""Write the dataset card at the end of a run or a compaction. Imports nothing heavy."""

import sys


def write_card_after_run(output_url: str) -> None:
    """Write the card of an output; an error is printed to stderr, and the run still succeeds."""
    from earmark.reporting.card.dataset_card import CARD_PATH, write_card
    from earmark.schemas.errors import JobError
    from earmark.transforms.output.store import OutputStore

    store = OutputStore.at(output_url)
    try:
        if not write_card(store):
            print(f"{store.root}/{CARD_PATH} is not by earmark and stays unchanged", file=sys.stderr)
    except (JobError, OSError) as error:
        print(f"no dataset card was written ({error}); `earmark card` writes one", file=sys.stderr)
