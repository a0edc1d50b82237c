"""Networks of transformers with all of their weights from a checkpoint's folder."""

from pathlib import Path
from typing import Any

import torch

from model.checkpoint import Checkpoint
from schemas.errors import JobError

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt"})


def load_whole(network: Any, folder: str, dtype: torch.dtype) -> Any:
    """`network.from_pretrained` for inference: a class of transformers, loaded from safetensors alone.

    Raises:
        ValueError: the files lack some of its tensors, which transformers would fill with random numbers.
        OSError, SafetensorError: they cannot be read.
    """
    model, loading = network.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    if missing := sorted(loading["missing_keys"]):
        few = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ValueError(f"{len(missing)} tensors are in none of its weight files ({few}); get the whole checkpoint")
    return model.eval()


def check_files(checkpoint: Checkpoint, *choices: tuple[str, ...]) -> None:
    """Raises JobError, naming what is missing, where a folder has no weights or lacks all of one of the choices.

    Args:
        choices: names of which one is enough: ("preprocessor_config.json", "processor_config.json").
    """
    folder = Path(checkpoint.folder)
    for names in choices:
        if not any((folder / name).is_file() for name in names):
            raise JobError(
                f"model {checkpoint.name}: {' or '.join(names)} is missing in {folder}; get the whole checkpoint"
            )
    if any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        return
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    why = f"{', '.join(pickles[:3])} may hold code and is not loaded" if pickles else "pickles are not even fetched"
    raise JobError(
        f"model {checkpoint.name}: there is no model.safetensors in {folder} ({why}); convert the checkpoint"
        " (transformers: from_pretrained, then save_pretrained)"
    )
