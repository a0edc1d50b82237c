"""What answers, as a user names it: weights in a checkpoint, or a server that has them."""

from typing import TypeAlias

from model.checkpoint import Checkpoint, find_checkpoint
from model.endpoint import Endpoint, find_endpoint, names_endpoint

Source: TypeAlias = Checkpoint | Endpoint


def find_source(name: str) -> Source:
    """What `name` of --model stands for.

    Raises:
        JobError: nothing, with what to do.
    """
    return find_endpoint(name) if names_endpoint(name) else find_checkpoint(name)
