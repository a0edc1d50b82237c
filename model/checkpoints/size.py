"""How large a model is, by the headers of its files: nothing is loaded, nothing fetched."""

import importlib.util
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from earmark.model.checkpoints.checkpoint import HUB_ID, PACKAGED
from earmark.model.checkpoints.json_files import json_object
from earmark.schemas.job import JobOptions

WHISPER_CTRANSLATE2 = "whisper-ctranslate2"
ONNX = "onnx"
# Bytes of a number that weights are held in; int8 means that of Whisper in CTranslate2's format.
NUMBER_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int8_float32": 1, "int8_float16": 1}
NUMBER_BYTES |= {"int8_bfloat16": 1}
TOKEN_S = 0.04  # of --batch_s for each token of audio, prompts and answers
CACHES = 2  # while a batch's keys and values are put together anew, there are two of them


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A model by what its files say.

    Attributes:
        family: model_type of its config.json, WHISPER_CTRANSLATE2, or ONNX.
        parameters: 0 for ONNX, whose files are as large as what is loaded.
        file_bytes: of the files of weights.
        cache_values: numbers kept for each token, keys and values of all layers; 0 where that is not known.
    """

    family: str
    parameters: int
    file_bytes: int = 0
    cache_values: int = 0

    def weight_bytes(self, compute_type: str) -> int:
        """The weights in memory, as numbers of this type."""
        return self.parameters * NUMBER_BYTES[compute_type] if self.parameters else self.file_bytes

    def working_bytes(self, compute_type: str, batch_s: float) -> int:
        """What a batch needs beside the weights; 0 where that is not known."""
        return round(CACHES * self.cache_values * NUMBER_BYTES[compute_type] * batch_s / TOKEN_S)


def computed_in(family: str, options: JobOptions, kind: str) -> str:
    """The numbers that a model of the family computes with on a device of the `kind` "cpu" or "cuda"."""
    if options.compute_type != "default":
        return options.compute_type
    if kind == "cpu" or family == ONNX:
        return "float32"
    return "float16" if family == WHISPER_CTRANSLATE2 else "bfloat16"


def folder_here(name: str) -> Path | None:
    """Where on this machine the files of a --model are; None where they would have to be fetched, or there are none."""
    if name in PACKAGED:
        package = importlib.util.find_spec(PACKAGED[name].package)
        return Path(package.origin).parent / PACKAGED[name].folder if package and package.origin else None
    folder = Path(name.removeprefix("file://")).expanduser()
    if folder.is_dir():
        return folder
    if not HUB_ID.fullmatch(name):
        return None
    from earmark.model.checkpoints.hub import cached_snapshot

    return cached_snapshot(name)


def model_size(folder: Path) -> ModelSize:
    """The size of the model in a folder.

    Raises:
        ValueError: its files are not whole, or of no kind that is known here.
        OSError: they cannot be read.
    """
    config = json_object(folder / "config.json")
    if (folder / "model.bin").is_file():
        with open(folder / "model.bin", "rb") as file:
            parameters = _ctranslate2_parameters(file)
        return ModelSize(WHISPER_CTRANSLATE2, parameters, (folder / "model.bin").stat().st_size)
    if not config and (onnx := list(folder.glob("*.onnx"))):
        return ModelSize(ONNX, 0, sum(path.stat().st_size for path in onnx))
    from earmark.model.checkpoints.weights import weight_headers

    headers = weight_headers(folder)
    parameters = sum(math.prod(header.shape) for header in headers.values())
    family = str(config.get("model_type", ""))
    files = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    return ModelSize(family, parameters, files, _cache_values(folder) if family == "qwen2_audio" else 0)


def _cache_values(folder: Path) -> int:
    """Keys and values of one token; published config.json files leave out what is their class's default."""
    from transformers import AutoConfig

    text: Any = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * text.num_key_value_heads * head)


def _ctranslate2_parameters(file: BinaryIO) -> int:
    """The numbers in a model.bin of CTranslate2: after a head, arrays with their names, shapes, types and bytes.

    Strings are their length in 16 bits and their letters; see ctranslate2.specs.ModelSpec.save.
    """

    def number(form: str) -> int:
        read = file.read(struct.calcsize(form))
        if len(read) < struct.calcsize(form):
            raise ValueError(f"{file.name} ends in the middle; get it again")
        return int(struct.unpack(form, read)[0])

    number("<I")  # version of the format
    file.seek(number("<H"), 1)  # name of the kind of model
    number("<I")  # its revision
    parameters = 0
    for _ in range(number("<I")):
        file.seek(number("<H"), 1)  # name
        shape = [number("<I") for _ in range(number("<B"))]
        number("<B")  # type
        file.seek(number("<I"), 1)
        parameters += math.prod(shape)
    return parameters
