"""Whether a Qwen2-Audio checkpoint is whole, and which kind it is, before its weights are loaded."""

import json
from pathlib import Path
from typing import Any

from model.checkpoint import Checkpoint
from model.safetensors_header import TensorHeader, read_header
from schemas.errors import JobError
from schemas.records import SAMPLE_RATE_HZ

ARCHITECTURE = "Qwen2AudioForConditionalGeneration"
EXTRACTOR = "WhisperFeatureExtractor"
TOKENS = ("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|im_end|>", "<|endoftext|>")
DTYPES = {"F32", "F16", "BF16"}  # others belong to quantized checkpoints, whose tensors mean something else
# What transformers' WhisperFeatureExtractor and Qwen2AudioEncoderConfig take where a file says nothing.
DEFAULT_FEATURE_SIZE, DEFAULT_MELS = 80, 128


def check_qwen2_audio(checkpoint: Checkpoint) -> None:
    """Raises JobError, saying what was found and what to do, unless all that the engine loads is there and fits.

    Weights are looked at by the headers of their files: names, shapes, types, and that no file is cut short.
    """
    folder = Path(checkpoint.folder)
    try:
        config = _config(folder)
        _check_extractor(folder, config)
        _check_tokens(folder, config)
        _check_weights(_headers(folder), folder)
    except (ValueError, OSError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error


def reads_turns(folder: Path) -> bool:
    """True for an Instruct checkpoint, False for a base one.

    An Instruct checkpoint ends its answers with `<|im_end|>`: generation_config.json says so. Where that names no end,
    a chat template that mentions audio tells. A template alone does not: transformers makes one up for every
    processor, and saves it.

    Raises:
        JobError: a file that tells is not JSON.
    """
    try:
        ends = _json(folder / "generation_config.json").get("eos_token_id")
        if ends is not None:
            return _token_ids(folder).get("<|im_end|>") in (ends if isinstance(ends, list) else [ends])
        named = ("chat_template.json", "processor_config.json", "preprocessor_config.json")
        templates = [json.dumps(_json(folder / name).get("chat_template")) for name in named]
    except ValueError as error:
        raise JobError(str(error)) from error
    if (folder / "chat_template.jinja").is_file():
        templates.append((folder / "chat_template.jinja").read_text(encoding="utf-8"))
    return any("audio" in template.lower() for template in templates)


def _config(folder: Path) -> dict[str, Any]:
    if not (config := _json(folder / "config.json")):
        raise ValueError(f"there is no config.json in {folder}; get the whole checkpoint")
    if config.get("model_type") != "qwen2_audio":
        raise ValueError(f"config.json says model_type {config.get('model_type')!r}, not 'qwen2_audio'")
    if ARCHITECTURE not in (architectures := config.get("architectures") or [ARCHITECTURE]):
        raise ValueError(f"config.json says architectures {architectures}, not {ARCHITECTURE}")
    if "quantization_config" in config:
        raise ValueError("it is quantized (config.json, quantization_config); take the checkpoint it was made from")
    kinds = set(_part(config, "text_config").get("layer_types") or ()) - {"full_attention"}
    if kinds or _part(config, "text_config").get("use_sliding_window"):
        raise ValueError("its language model attends to a window of its past only, which earmark cannot run")
    for part, known in (("text_config", "qwen2"), ("audio_config", "qwen2_audio_encoder")):
        if (kind := _part(config, part).get("model_type", known)) != known:
            raise ValueError(f"config.json says model_type {kind!r} in {part}, not {known!r}")
    return config


def _check_extractor(folder: Path, config: dict[str, Any]) -> None:
    # transformers looks into processor_config.json first, too
    extractor = _part(_json(folder / "processor_config.json"), "feature_extractor")
    extractor = extractor or _json(folder / "preprocessor_config.json")
    if not extractor:
        raise ValueError(
            f"neither preprocessor_config.json nor processor_config.json in {folder} says how audio is prepared; get"
            " them from where the checkpoint comes from"
        )
    if (kind := extractor.get("feature_extractor_type")) != EXTRACTOR:
        raise ValueError(f"its processor has feature_extractor_type {kind!r}, not {EXTRACTOR!r}")
    if (rate := extractor.get("sampling_rate", SAMPLE_RATE_HZ)) != SAMPLE_RATE_HZ:
        raise ValueError(f"its processor has sampling_rate {rate}, not {SAMPLE_RATE_HZ}")
    bands = extractor.get("feature_size", DEFAULT_FEATURE_SIZE)
    if bands != (heard := _part(config, "audio_config").get("num_mel_bins", DEFAULT_MELS)):
        raise ValueError(f"its processor makes {bands} mel bands, but config.json has an encoder for {heard}")


def _check_tokens(folder: Path, config: dict[str, Any]) -> None:
    parts = ["tokenizer.json"] if (folder / "tokenizer.json").is_file() else ["vocab.json", "merges.txt"]
    if absent := [name for name in [*parts, "tokenizer_config.json"] if not (folder / name).is_file()]:
        also = " (tokenizer.json would do as well)" if "vocab.json" in parts else ""
        raise ValueError(f"{', '.join(absent)} missing in {folder}{also}; get the whole checkpoint")
    ids = _token_ids(folder)
    if unknown := [token for token in TOKENS if token not in ids]:
        raise ValueError(f"its tokenizer does not know {', '.join(unknown)}; get the tokenizer's files again")
    if (said := config.get("audio_token_index", config.get("audio_token_id"))) not in (None, ids["<|AUDIO|>"]):
        raise ValueError(
            f"config.json says audio_token_index {said}, but <|AUDIO|> is {ids['<|AUDIO|>']} in the tokenizer: the"
            " files are of different checkpoints; get all of them again"
        )


def _token_ids(folder: Path) -> dict[str, int]:
    """All tokens of the tokenizer's files with their ids."""
    tokenizer = _json(folder / "tokenizer.json")
    decoder = _part(_json(folder / "tokenizer_config.json"), "added_tokens_decoder")
    try:
        return {
            **(_part(_part(tokenizer, "model"), "vocab") if tokenizer else _json(folder / "vocab.json")),
            **_json(folder / "added_tokens.json"),
            **{token["content"]: int(id) for id, token in decoder.items()},
            **{token["content"]: int(token["id"]) for token in tokenizer.get("added_tokens", [])},
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"the tokenizer's files in {folder} do not list tokens with their ids: {error!r}") from error


def _headers(folder: Path) -> dict[str, TensorHeader]:
    """The tensors of all weight files, chosen like transformers does: the single file before the index."""
    files = ["model.safetensors"]
    if not (folder / files[0]).is_file():
        if not (folder / "model.safetensors.index.json").is_file():
            raise ValueError(f"there are no weights in {folder}: {_weights_found(folder)}")
        index = _json(folder / "model.safetensors.index.json")
        files = sorted({str(name) for name in _part(index, "weight_map").values()})
    if absent := [name for name in files if not (folder / name).is_file()]:
        raise ValueError(
            f"{len(absent)} of {len(files)} weight files that model.safetensors.index.json names are missing in"
            f" {folder} ({_few(absent)}); get them again"
        )
    return {name: header for file in files for name, header in read_header(folder / file).items()}


def _weights_found(folder: Path) -> str:
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".ckpt"}):
        return (
            f"{_few(pickles)} may hold code and is not loaded; convert it to safetensors (transformers:"
            " from_pretrained, then save_pretrained)"
        )
    return (
        "neither model.safetensors nor model.safetensors.index.json (pickles such as pytorch_model.bin are not even"
        " fetched); get the whole checkpoint, as safetensors"
    )


def _check_weights(found: dict[str, TensorHeader], folder: Path) -> None:
    """Holds the files against the network that transformers would build, without memory for it."""
    import torch
    from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

    try:
        with torch.device("meta"):
            model = Qwen2AudioForConditionalGeneration(Qwen2AudioConfig.from_pretrained(folder))
    except Exception as error:  # what a wrong value breaks may be anywhere in transformers or torch
        raise ValueError(f"no network can be built from config.json ({' '.join(str(error).split())})") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    held = _as_loaded(model, found)
    if absent := [name for name in expected if name not in held and name not in model.all_tied_weights_keys]:
        raise ValueError(
            f"{len(absent)} of {len(expected)} tensors are in none of the weight files in {folder} ({_few(absent)});"
            f" the files hold {len(found)} ({_few(list(found))}); get the whole checkpoint"
        )
    both = expected.keys() & held.keys()
    if odd := sorted(name for name in both if held[name].shape != expected[name]):
        words = [f"{name} is {list(held[name].shape)}, not {list(expected[name])}" for name in odd]
        raise ValueError(
            f"{len(odd)} of {len(expected)} tensors have not the shape that config.json calls for ({_few(words)});"
            " config.json or the weights are of another checkpoint"
        )
    if odd := sorted(name for name in both if held[name].dtype not in DTYPES):
        words = [f"{name} is {held[name].dtype}" for name in odd]
        raise ValueError(
            f"{len(odd)} of {len(expected)} tensors are not floating-point numbers of 16 or 32 bits ({_few(words)});"
            " take a checkpoint that is not quantized"
        )


def _as_loaded(model: Any, found: dict[str, TensorHeader]) -> dict[str, TensorHeader]:
    """The tensors by the names under which transformers loads them: published files have those of older versions."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping = get_model_conversion_mapping(model)
    renamings = [step for step in mapping if isinstance(step, WeightRenaming)]
    converters = [step for step in mapping if isinstance(step, WeightConverter)]
    prefix, state = model.base_model_prefix, model.state_dict()
    return {rename_source_key(name, renamings, converters, prefix, state)[0]: found[name] for name in found}


def _json(path: Path) -> dict[str, Any]:
    """A file's JSON object; an absent file counts as an empty one. Raises ValueError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return content


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    """An object within an object; an absent one counts as empty."""
    part = content.get(key) or {}
    if not isinstance(part, dict):
        raise ValueError(f"{key} is {part!r}, not a JSON object")
    return part


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
