"""Memory that a model takes, by the headers and sizes of its files: nothing is loaded, nothing fetched."""

import importlib.util
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from earmark.model.checkpoints.checkpoint import HUB_ID, PACKAGED
from earmark.model.checkpoints.files import is_read
from earmark.model.checkpoints.json_files import json_object
from earmark.model.runtime.devices import DEFAULT_COMPUTE_TYPES
from earmark.schemas.job import TOKEN_S, JobOptions

WHISPER_CTRANSLATE2 = "whisper-ctranslate2"
ONNX = "onnx"
# Bytes of one weight; int8 is that of Whisper in CTranslate2's format.
NUMBER_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int8_float32": 1, "int8_float16": 1}
NUMBER_BYTES |= {"int8_bfloat16": 1}
PUBLISHED_NUMBER_BYTES = 2  # of one weight in files whose headers are not on this machine
CACHES = 2  # while the keys and values of a batch are reordered, there are two copies
ONNX_SUFFIXES = (".onnx", ".weights")


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The size of a model, and the memory that follows from it.

    Attributes:
        family: model_type of its config.json, WHISPER_CTRANSLATE2, or ONNX.
        parameters: Number of weights; 0 for ONNX, whose files are as large as what is loaded.
        file_bytes: Bytes of the files of weights.
        cache_values: Numbers kept for each token, keys and values of all layers; 0 where that is not known.
    """

    family: str
    parameters: int
    file_bytes: int = 0
    cache_values: int = 0

    def compute_type(self, options: JobOptions, device: str) -> str:
        """The numbers that the model computes with on a `device` of the kind "cpu" or "cuda"."""
        if options.compute_type != "default":
            return options.compute_type
        if self.family == ONNX:
            return "float32"
        if device == "cuda" and self.family == WHISPER_CTRANSLATE2:
            return "float16"
        return DEFAULT_COMPUTE_TYPES[device]

    def weight_bytes(self, options: JobOptions, device: str) -> int:
        """Bytes of the weights in memory."""
        if not self.parameters:
            return self.file_bytes
        return self.parameters * NUMBER_BYTES[self.compute_type(options, device)]

    def working_bytes(self, options: JobOptions, device: str, batch_s: float) -> int:
        """Bytes that a batch takes beside the weights; 0 where that is not known."""
        number_bytes = NUMBER_BYTES[self.compute_type(options, device)]
        return round(CACHES * self.cache_values * number_bytes * batch_s / TOKEN_S)


def folder_here(name: str) -> Path | None:
    """The folder on this machine with the files of a --model; None where a run would have to fetch them, or fail."""
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
        ValueError: The files are not whole, or of no format that earmark reads.
        OSError: They cannot be read.
    """
    config = json_object(folder / "config.json")
    if (folder / "model.bin").is_file():
        with open(folder / "model.bin", "rb") as file:
            parameters = _ctranslate2_parameters(file)
        return ModelSize(WHISPER_CTRANSLATE2, parameters, (folder / "model.bin").stat().st_size)
    if not config and any(folder.glob("*.onnx")):
        return estimate_size({path.name: path.stat().st_size for path in folder.iterdir()})
    from earmark.model.checkpoints.weights import weight_headers

    headers = weight_headers(folder)
    parameters = sum(math.prod(header.shape) for header in headers.values())
    family = str(config.get("model_type", ""))
    files = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    return ModelSize(family, parameters, files, _cache_values(folder) if family == "qwen2_audio" else 0)


def estimate_size(file_bytes: Mapping[str, int]) -> ModelSize:
    """The size of a model that is not on this machine, as far as the sizes of its files go.

    Args:
        file_bytes: Bytes of each file by its name.

    Raises:
        ValueError: None of the files holds weights that earmark reads.
    """
    read = {name: size for name, size in file_bytes.items() if is_read(name)}
    if size := read.get("model.bin"):
        return ModelSize(WHISPER_CTRANSLATE2, size // PUBLISHED_NUMBER_BYTES, size)
    if size := sum(size for name, size in read.items() if name.endswith(".safetensors")):
        return ModelSize("", size // PUBLISHED_NUMBER_BYTES, size)
    if size := sum(size for name, size in read.items() if name.endswith(ONNX_SUFFIXES)):
        return ModelSize(ONNX, 0, size)
    raise ValueError("it holds no weights that earmark reads (model.safetensors, model.bin, *.onnx)")


def _cache_values(folder: Path) -> int:
    """Keys and values of one token; published config.json files leave out what is their class's default."""
    from transformers import AutoConfig

    text: Any = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * text.num_key_value_heads * head_dim)


def _ctranslate2_parameters(file: BinaryIO) -> int:
    """Number of weights in CTranslate2's model.bin: after a header, arrays with names, shapes, types and bytes.

    Strings are their length in 16 bits and their letters; see ctranslate2.specs.ModelSpec.save.
    """

    def number(form: str) -> int:
        content = file.read(struct.calcsize(form))
        if len(content) < struct.calcsize(form):
            raise ValueError(f"{file.name} ends in the middle; get it again")
        return int(struct.unpack(form, content)[0])

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
