"""What answers, as a user names it: weights in a checkpoint, a server that has them, another's engine."""

from typing import TypeAlias

from model.checkpoint import Checkpoint, find_checkpoint
from model.endpoint import Endpoint, find_endpoint, names_endpoint
from model.own_engine import OwnEngine, find_own_engine, is_own_engine

Source: TypeAlias = Checkpoint | Endpoint | OwnEngine


def find_source(name: str) -> Source:
    """What `name` of --model stands for.

    Raises:
        JobError: nothing, with what to do.
    """
    if names_endpoint(name):
        return find_endpoint(name)
    return find_own_engine(name) if is_own_engine(name) else find_checkpoint(name)
