"""Whether a checkpoint folder of transformers is whole, known before its weights are loaded.

What these raise is a ValueError that says what was found and what to do.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from model.safetensors_header import TensorHeader, read_header
from schemas.records import SAMPLE_RATE_HZ

M = TypeVar("M", bound=PreTrainedModel)
DTYPES = {"F32", "F16", "BF16"}  # others belong to quantized checkpoints, whose tensors mean something else
PICKLES = {".bin", ".pt", ".pth", ".ckpt"}


def read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object; an absent file counts as an empty one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return content


def check_architecture(folder: Path, architecture: str, example: str) -> dict[str, Any]:
    """config.json, which must be of `architecture`; `example` is a checkpoint that is."""
    if not (config := read_json(folder / "config.json")):
        raise ValueError(f"there is no config.json in {folder}; get the whole checkpoint")
    if architecture not in (found := config.get("architectures") or [architecture]):
        raise ValueError(
            f"config.json says that it is {', '.join(map(str, found))}, which does another task than {architecture};"
            f" name one of those, such as {example}"
        )
    if "quantization_config" in config:
        raise ValueError("it is quantized (config.json, quantization_config); take the checkpoint it was made from")
    return config


def check_files(folder: Path, names: Sequence[str]) -> None:
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(f"{', '.join(absent)} missing in {folder}; get the whole checkpoint")


def check_extractor(folder: Path) -> dict[str, Any]:
    """What says how audio is prepared, which must be for audio of the rate that earmark gives."""
    # transformers looks into processor_config.json first, too
    extractor = read_json(folder / "processor_config.json").get("feature_extractor")
    extractor = extractor or read_json(folder / "preprocessor_config.json")
    if not isinstance(extractor, dict) or not extractor:
        raise ValueError(
            f"neither preprocessor_config.json nor processor_config.json in {folder} says how audio is prepared; get"
            " them from where the checkpoint comes from"
        )
    if (rate := extractor.get("sampling_rate", SAMPLE_RATE_HZ)) != SAMPLE_RATE_HZ:
        raise ValueError(f"its preprocessor has sampling_rate {rate}, not {SAMPLE_RATE_HZ}")
    return extractor


def check_weights(folder: Path, build: Callable[[], PreTrainedModel]) -> None:
    """Holds the headers of the weight files against the network that `build` makes, without memory for it."""
    found = _headers(folder)
    try:
        with torch.device("meta"):
            network = build()
    except Exception as error:  # what a wrong value breaks may be anywhere in transformers or torch
        raise ValueError(f"no network can be built from config.json ({' '.join(str(error).split())})") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    held = _as_loaded(network, found)
    if absent := [name for name in expected if name not in held and name not in network.all_tied_weights_keys]:
        raise ValueError(
            f"{len(absent)} of {len(expected)} tensors are in none of the weight files in {folder} ({_few(absent)});"
            f" the files hold {len(found)} ({_few(list(found))}); get the whole checkpoint"
        )
    both = expected.keys() & held.keys()
    if odd := [
        f"{name} is {held[name].dtype} {list(held[name].shape)}, not {list(expected[name])}"
        for name in sorted(both)
        if held[name].shape != expected[name] or held[name].dtype not in DTYPES
    ]:
        raise ValueError(
            f"{len(odd)} of {len(expected)} tensors are not floating-point numbers of 16 or 32 bits in the shape that"
            f" config.json calls for ({_few(odd)}); take a checkpoint that is not quantized, with its own config.json"
        )


def load_whole(network: type[M], folder: str, dtype: torch.dtype) -> M:
    """The checkpoint's weights in memory, from safetensors alone."""
    loaded: M = network.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True)
    return loaded


def _headers(folder: Path) -> dict[str, TensorHeader]:
    """The tensors of all weight files, chosen like transformers does: the single file before the index."""
    files = ["model.safetensors"]
    if not (folder / files[0]).is_file():
        weights = read_json(folder / "model.safetensors.index.json").get("weight_map")
        if not isinstance(weights, dict):
            raise ValueError(f"there are no weights in {folder}: {_weights_found(folder)}")
        files = sorted({str(name) for name in weights.values()})
    check_files(folder, files)
    return {name: header for file in files for name, header in read_header(folder / file).items()}


def _weights_found(folder: Path) -> str:
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES):
        return (
            f"{_few(pickles)} may hold code and is not loaded; convert it to safetensors (transformers:"
            " from_pretrained, then save_pretrained)"
        )
    return (
        "neither model.safetensors nor model.safetensors.index.json (pickles such as pytorch_model.bin are not even"
        " fetched); get the whole checkpoint, as safetensors"
    )


def _as_loaded(network: PreTrainedModel, found: dict[str, TensorHeader]) -> dict[str, TensorHeader]:
    """The tensors by the names under which transformers loads them: published files have those of older versions."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping = get_model_conversion_mapping(network)
    renamings = [step for step in mapping if isinstance(step, WeightRenaming)]
    converters = [step for step in mapping if isinstance(step, WeightConverter)]
    prefix, state = network.base_model_prefix, network.state_dict()
    return {rename_source_key(name, renamings, converters, prefix, state)[0]: found[name] for name in found}


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
