"""Weights of transformers' networks: loading them, and checking by the headers alone that they are complete."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from earmark.model.checkpoints.headers import TensorHeader, read_header
from earmark.model.checkpoints.json_files import json_object, json_part
from earmark.schemas.text import counted, error_message, join_some

DTYPES = {"F32", "F16", "BF16"}  # others belong to quantized checkpoints, whose tensors are encoded otherwise
NAMED = 3  # of the tensors or files that a message is about
REMEDY = "get the whole checkpoint, or name one that was trained for this"
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
OF_TRAINING = ("masked_spec_embed",)  # used in training only, and missing in checkpoints for inference


def load_pretrained(network: Any, folder: str, dtype: torch.dtype, attention: str | None = None) -> Any:
    """`network.from_pretrained` for inference, from safetensors alone.

    Args:
        network: Class of transformers.
        attention: attn_implementation; None for the network's own choice.

    Raises:
        ValueError: The files lack some of its tensors, which transformers would fill with random numbers.
        OSError, SafetensorError: They cannot be read.
    """
    model, loading = network.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation=attention,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if absent := sorted(name for name in loading["missing_keys"] if not name.endswith(OF_TRAINING)):
        raise ValueError(
            f"the weight files lack {counted(len(absent), 'tensor')} ({join_some(absent, NAMED)}); {REMEDY}"
        )
    return model.eval()


def check_weights(folder: Path, build: Callable[[], Any]) -> None:
    """Compares the headers of the weight files with the network that transformers would build, without memory for it.

    Raises:
        ValueError: A file or a tensor is missing, cut short, or of another shape or type; the message has the remedy.
    """
    headers = weight_headers(folder)
    try:
        with torch.device("meta"):
            model = build()
    except Exception as error:  # what a wrong value breaks may be anywhere in transformers or torch
        raise ValueError(f"no network can be built from config.json ({error_message(error)})") from error
    state = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    held = _as_loaded(model, headers)
    not_needed = held.keys() | model.all_tied_weights_keys.keys()
    if absent := [name for name in expected if name not in not_needed and not name.endswith(OF_TRAINING)]:
        raise ValueError(
            f"{len(absent)} of {len(expected)} tensors are in none of the weight files in {folder}"
            f" ({join_some(absent, NAMED)}); the files hold {len(headers)} ({join_some(list(headers), NAMED)});"
            f" {REMEDY}"
        )
    both = expected.keys() & held.keys()
    if odd := sorted(name for name in both if not _fills(held[name], expected[name])):
        mismatches = [f"{name} is {_shapes(held[name])}, not {list(expected[name])}" for name in odd]
        raise ValueError(
            f"{len(odd)} of {len(expected)} tensors have not the shape that config.json calls for"
            f" ({join_some(mismatches, NAMED)}); config.json or the weights are of another checkpoint"
        )
    floating = (name for name in both if state[name].is_floating_point())  # unlike counts of batches
    kinds = {name: {header.dtype for header in held[name]} - DTYPES for name in floating}
    if odd := sorted(name for name, kind in kinds.items() if kind):
        mismatches = [f"{name} is {', '.join(sorted(kinds[name]))}" for name in odd]
        raise ValueError(
            f"{len(odd)} of {len(expected)} tensors are not floating-point numbers of 16 or 32 bits"
            f" ({join_some(mismatches, NAMED)}); take a checkpoint that is not quantized"
        )


def _fills(parts: Sequence[TensorHeader], shape: tuple[int, ...]) -> bool:
    """Whether one tensor of the files has this shape, or several that are joined have as many numbers."""
    if len(parts) == 1:
        return parts[0].shape == shape
    return sum(math.prod(part.shape) for part in parts) == math.prod(shape)


def _shapes(parts: Sequence[TensorHeader]) -> str:
    return f"{len(parts)} parts like {list(parts[0].shape)}" if len(parts) > 1 else str(list(parts[0].shape))


def _as_loaded(model: Any, headers: dict[str, TensorHeader]) -> dict[str, list[TensorHeader]]:
    """The tensors by the names under which transformers loads them: published files have names of older versions.

    Experts have a tensor each in the files, and one tensor together in the network.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping = get_model_conversion_mapping(model)
    renamings = [step for step in mapping if isinstance(step, WeightRenaming)]
    converters = [step for step in mapping if isinstance(step, WeightConverter)]
    prefix, state = model.base_model_prefix, model.state_dict()
    held: dict[str, list[TensorHeader]] = {}
    for name, header in headers.items():
        held.setdefault(rename_source_key(name, renamings, converters, prefix, state)[0], []).append(header)
    return held


def weight_headers(folder: Path) -> dict[str, TensorHeader]:
    """The tensors of all weight files, chosen as in transformers: the single file before the index."""
    files = ["model.safetensors"]
    if not (folder / files[0]).is_file():
        if not (folder / "model.safetensors.index.json").is_file():
            raise ValueError(f"there are no weights in {folder}: {_describe_other_weights(folder)}")
        index = json_object(folder / "model.safetensors.index.json")
        files = sorted({str(name) for name in json_part(index, "weight_map").values()})
    if absent := [name for name in files if not (folder / name).is_file()]:
        raise ValueError(
            f"{len(absent)} of {len(files)} weight files that model.safetensors.index.json names are missing in"
            f" {folder} ({join_some(absent, NAMED)}); get them again"
        )
    return {name: header for file in files for name, header in read_header(folder / file).items()}


def _describe_other_weights(folder: Path) -> str:
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES):
        return (
            f"{join_some(pickles, NAMED)} may hold code and is not loaded; convert it to safetensors (transformers:"
            " from_pretrained, then save_pretrained)"
        )
    return (
        "neither model.safetensors nor model.safetensors.index.json (pickles such as pytorch_model.bin are not even"
        " fetched); get the whole checkpoint, as safetensors"
    )
