"""What answers, as a user names it: weights in a checkpoint, or an engine that another package brings."""

from typing import TypeAlias

from model.checkpoint import Checkpoint, find_checkpoint
from model.own_engine import OwnEngine, find_own_engine, is_own_engine

Source: TypeAlias = Checkpoint | OwnEngine


def find_source(name: str) -> Source:
    """What `name` of --model stands for.

    Raises:
        JobError: nothing, with what to do.
    """
    if is_own_engine(name):
        return find_own_engine(name)
    return find_checkpoint(name)
