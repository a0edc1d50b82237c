"""Whether a checkpoint of transformers' audio encoders is whole, and has the head that is asked for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.checkpoint import Checkpoint
from model.encoder_inputs import EncoderInputs
from model.safetensors_header import read_header
from schemas.errors import JobError

# Used in training only, and missing in checkpoints that were saved for the rest.
OF_TRAINING = ("masked_spec_embed",)


def architecture(checkpoint: Checkpoint) -> str:
    """What config.json says that the weights are of; "" where it says nothing."""
    config: dict[str, Any] = json.loads((Path(checkpoint.folder) / "config.json").read_text(encoding="utf-8"))
    return str((config.get("architectures") or [""])[0])


def check_files(checkpoint: Checkpoint, head: Sequence[str], needed: Sequence[str]) -> None:
    """Raises JobError, with what to do, unless the files are there, and the audio can be prepared.

    Args:
        head: beginnings of the names of tensors; the weights of the head have one of them.
        needed: files without which the engine cannot go on.
    """
    folder = Path(checkpoint.folder)
    if absent := [name for name in needed if not (folder / name).is_file()]:
        raise JobError(f"model {checkpoint.name}: {', '.join(absent)} missing in {folder}; get the whole checkpoint")
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        raise JobError(
            f"model {checkpoint.name}: there is no model.safetensors in {folder} (pickles such as pytorch_model.bin may"
            " hold code and are not loaded); get safetensors, or convert it: from_pretrained, then save_pretrained"
        )
    try:
        names = {name for path in weights for name in read_header(path)}
        EncoderInputs(checkpoint.folder)
    except (OSError, ValueError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
    if not any(name.startswith(tuple(head)) for name in names):
        raise JobError(
            f"model {checkpoint.name}: its weights have no {' or '.join(f'{name}*' for name in head)}, so it was not"
            f" trained to be the {architecture(checkpoint)} that config.json calls it; name a checkpoint that was"
        )


def check_loaded(missing: Sequence[str]) -> None:
    """Raises ValueError for tensors that no file had, which transformers makes up at random."""
    if absent := sorted(name for name in missing if not name.endswith(OF_TRAINING)):
        raise ValueError(f"{len(absent)} tensors are in none of its files ({', '.join(absent[:3])}); get it again")
