"""Checks of a checkpoint of an audio encoder of transformers: its files, its inputs, the weights with their head."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object
from earmark.model.checkpoints.parts import check_files, check_rate, read_config, read_extractor
from earmark.model.checkpoints.weights import check_weights
from earmark.model.encoders.inputs import EncoderInputs
from earmark.schemas.errors import JobError


def architecture(folder: Path) -> str:
    """Return the class of the weights from config.json, "" if it names none."""
    return str((json_object(folder / "config.json").get("architectures") or [""])[0])


def check_encoder(checkpoint: Checkpoint, network: Any, *names: str) -> None:
    """Check that a checkpoint is complete and its audio can be prepared.

    Args:
        checkpoint: The checkpoint.
        network: Auto class of transformers that builds the encoder with its head from a config.
        names: Names of further files that the engine needs.

    Raises:
        JobError: It is not, with what to do.
    """
    folder = Path(checkpoint.folder)
    try:
        read_config(folder)
        check_files(folder, *names)
        check_rate(read_extractor(folder))
        EncoderInputs(checkpoint.folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        check_weights(folder, lambda: network.from_config(config))
    except (OSError, ValueError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
