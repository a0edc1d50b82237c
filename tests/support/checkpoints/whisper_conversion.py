"""The packaged Whisper tiny.en, which is in CTranslate2's format, as a checkpoint of transformers.

python -m tests.support.checkpoints.whisper_conversion FOLDER
"""

import json
import shutil
import struct
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from earmark.model.checkpoints.checkpoint import find_checkpoint

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}  # CTranslate2's numbers for them
# CTranslate2 stacks projections of the same input; what is in each, by the place of the layer.
SELF_ATTENTION = {"linear_0": ("q_proj", "k_proj", "v_proj"), "linear_1": ("out_proj",)}
CROSS_ATTENTION = {"linear_0": ("q_proj",), "linear_1": ("k_proj", "v_proj"), "linear_2": ("out_proj",)}
START, END, NO_TIMESTAMPS = 50257, 50256, 50362  # of the English-only vocabulary


def write_whisper_tiny_en(folder: Path) -> Path:
    """Writes the checkpoint, in float16 as it was published, and returns its folder."""
    source = Path(find_checkpoint("whisper-tiny.en").folder)
    with open(source / "model.bin", "rb") as file:
        arrays = read_arrays(file)
    network = WhisperForConditionalGeneration(WhisperConfig(vocab_size=51864, decoder_start_token_id=START))
    missing, unexpected = network.load_state_dict(renamed(arrays), strict=False)
    assert missing == ["proj_out.weight"] and not unexpected  # tied to the embedding
    config = json.loads((source / "config.json").read_text())
    network.generation_config = GenerationConfig(
        alignment_heads=config["alignment_heads"],
        begin_suppress_tokens=config["suppress_ids_begin"],
        bos_token_id=END,
        decoder_start_token_id=START,
        eos_token_id=END,
        forced_decoder_ids=[[1, NO_TIMESTAMPS]],  # as published, from the time before prompts were given
        is_multilingual=False,
        max_initial_timestamp_index=50,
        max_length=448,
        no_timestamps_token_id=NO_TIMESTAMPS,
        pad_token_id=END,
        suppress_tokens=config["suppress_ids"],
    )
    network.half().save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    shutil.copy(source / "tokenizer.json", folder)
    end = "<|endoftext|>"
    marks = {f"{name}_token": end for name in ("bos", "eos", "pad", "unk")}
    about = {"tokenizer_class": "WhisperTokenizer", **marks}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder


def read_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """The arrays of a model.bin of version 6."""

    def number(format: str) -> int:
        return int(struct.unpack(f"<{format}", file.read(struct.calcsize(format)))[0])

    def text() -> str:
        return file.read(number("H"))[:-1].decode()

    assert number("I") == 6 and text() == "WhisperSpec" and number("I") == 3
    arrays = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype = DTYPES[number("B")]
        arrays[name] = np.frombuffer(file.read(number("I")), dtype).reshape(shape)
    return arrays


def renamed(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The weights among the arrays by transformers' names."""
    tensors = {}
    for name, array in arrays.items():
        if array.ndim == 0 or name.endswith("alignment_heads"):
            continue  # settings
        for part, values in split(name, array):
            tensors[part] = torch.from_numpy(values.astype(np.float32))
    return tensors


def split(name: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """One stacked array as those that it is made of, by transformers' names."""
    side, *path = name.split("/")
    kind = {"gamma": "weight", "beta": "bias", "encodings": "weight"}.get(path[-1], path[-1])
    where = {"embeddings": "embed_tokens", "position_encodings": "embed_positions"}.get(path[0], path[0])
    if not where.startswith("layer_") or where == "layer_norm":
        return [(f"model.{side}.{where}.{kind}", array)]
    layer = f"model.{side}.layers.{where.removeprefix('layer_')}"
    block, inner = path[1], path[2]
    if block == "ffn":
        return [
            (
                f"{layer}.{ {'layer_norm': 'final_layer_norm', 'linear_0': 'fc1', 'linear_1': 'fc2'}[inner] }.{kind}",
                array,
            )
        ]
    attention = {"self_attention": "self_attn", "attention": "encoder_attn"}[block]
    if inner == "layer_norm":
        return [(f"{layer}.{attention}_layer_norm.{kind}", array)]
    names = (SELF_ATTENTION if block == "self_attention" else CROSS_ATTENTION)[inner]
    parts = zip(names, np.split(array, len(names)), strict=True)
    # Whisper's keys have no bias; CTranslate2 writes zeros.
    return [
        (f"{layer}.{attention}.{part}.{kind}", values) for part, values in parts if (part, kind) != ("k_proj", "bias")
    ]


if __name__ == "__main__":
    print(write_whisper_tiny_en(Path(sys.argv[1])))
