"""Checks that a Qwen2-Audio checkpoint is complete, and of which kind it is, before its weights are loaded."""

import json
from pathlib import Path
from typing import Any

from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object, json_part
from earmark.model.checkpoints.parts import (
    check_architecture,
    check_mel_bands,
    check_rate,
    check_tokenizer_files,
    read_config,
    read_extractor,
)
from earmark.model.checkpoints.weights import check_weights
from earmark.schemas.errors import JobError

TOKENS = ("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|im_end|>", "<|endoftext|>")
# Defaults of transformers' WhisperFeatureExtractor and Qwen2AudioEncoderConfig.
DEFAULT_FEATURE_SIZE, DEFAULT_MELS = 80, 128


def check_qwen2_audio(checkpoint: Checkpoint) -> None:
    """Raise JobError unless all files that the engine loads exist and belong together.

    Of the weights, only the headers of the files are read: names, shapes, types, and that no file is truncated.
    """
    folder = Path(checkpoint.folder)
    try:
        config = _config(folder)
        _check_extractor(folder, config)
        _check_tokens(folder, config)
        check_weights(folder, lambda: Qwen2AudioForConditionalGeneration(Qwen2AudioConfig.from_pretrained(folder)))
    except (ValueError, OSError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error


def is_instruct(folder: Path) -> bool:
    """True for an Instruct checkpoint, False for a base one.

    An Instruct checkpoint ends its answers with `<|im_end|>`, the end token in generation_config.json. Without an end
    token there, a chat template that mentions audio decides. A template alone does not: transformers makes one up for
    every processor, and saves it.

    Raises:
        JobError: One of these files is not JSON.
    """
    try:
        eos_ids = json_object(folder / "generation_config.json").get("eos_token_id")
        if eos_ids is not None:
            return _token_ids(folder).get("<|im_end|>") in (eos_ids if isinstance(eos_ids, list) else [eos_ids])
        names = ("chat_template.json", "processor_config.json", "preprocessor_config.json")
        templates = [json.dumps(json_object(folder / name).get("chat_template")) for name in names]
    except ValueError as error:
        raise JobError(str(error)) from error
    if (folder / "chat_template.jinja").is_file():
        templates.append((folder / "chat_template.jinja").read_text(encoding="utf-8"))
    return any("audio" in template.lower() for template in templates)


def _config(folder: Path) -> dict[str, Any]:
    config = read_config(folder)
    if config.get("model_type") != "qwen2_audio":
        raise ValueError(f"config.json says model_type {config.get('model_type')!r}, not 'qwen2_audio'")
    check_architecture(config, "Qwen2AudioForConditionalGeneration", "Qwen/Qwen2-Audio-7B-Instruct")
    attention = set(json_part(config, "text_config").get("layer_types") or ()) - {"full_attention"}
    if attention or json_part(config, "text_config").get("use_sliding_window"):
        raise ValueError("its language model has sliding-window attention, which earmark does not support")
    for part, supported in (("text_config", "qwen2"), ("audio_config", "qwen2_audio_encoder")):
        if (kind := json_part(config, part).get("model_type", supported)) != supported:
            raise ValueError(f"config.json says model_type {kind!r} in {part}, not {supported!r}")
    return config


def _check_extractor(folder: Path, config: dict[str, Any]) -> None:
    extractor = read_extractor(folder, "WhisperFeatureExtractor")
    check_rate(extractor)
    mels = json_part(config, "audio_config").get("num_mel_bins", DEFAULT_MELS)
    check_mel_bands(extractor.get("feature_size", DEFAULT_FEATURE_SIZE), mels)


def _check_tokens(folder: Path, config: dict[str, Any]) -> None:
    check_tokenizer_files(folder, "tokenizer_config.json")
    ids = _token_ids(folder)
    if missing := [token for token in TOKENS if token not in ids]:
        raise ValueError(f"its tokenizer lacks {', '.join(missing)}; get the tokenizer's files again")
    if (audio_id := config.get("audio_token_index", config.get("audio_token_id"))) not in (None, ids["<|AUDIO|>"]):
        raise ValueError(
            f"config.json says audio_token_index {audio_id}, but <|AUDIO|> is {ids['<|AUDIO|>']} in the tokenizer: the"
            " files are of different checkpoints; get all files again"
        )


def _token_ids(folder: Path) -> dict[str, int]:
    """All tokens in the tokenizer's files with their ids."""
    tokenizer = json_object(folder / "tokenizer.json")
    decoder = json_part(json_object(folder / "tokenizer_config.json"), "added_tokens_decoder")
    try:
        return {
            **(json_part(json_part(tokenizer, "model"), "vocab") if tokenizer else json_object(folder / "vocab.json")),
            **json_object(folder / "added_tokens.json"),
            **{token["content"]: int(id) for id, token in decoder.items()},
            **{token["content"]: int(token["id"]) for token in tokenizer.get("added_tokens", [])},
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"the tokenizer's files in {folder} do not list tokens with their ids: {error!r}") from error
