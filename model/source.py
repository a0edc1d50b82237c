"""What answers, as a user names it: weights in a checkpoint."""

from typing import TypeAlias

from model.checkpoint import Checkpoint, find_checkpoint

Source: TypeAlias = Checkpoint


def find_source(name: str) -> Source:
    """What `name` of --model stands for.

    Raises:
        JobError: nothing, with what to do.
    """
    return find_checkpoint(name)
