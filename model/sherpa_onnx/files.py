"""Speech models in ONNX as sherpa-onnx publishes them: the kind of model in a folder, and its files."""

import re
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    RuntimeException,
)

from earmark.schemas.errors import JobError
from earmark.schemas.text import error_message

TOKENS = "tokens.txt"
PUBLISHED = "https://k2-fsa.github.io/sherpa/onnx/pretrained_models"
# Errors of onnxruntime for a model that is broken, or newer than it; they have no class in common.
BROKEN = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile, RuntimeException)
# Endings of file names by the numbers of the weights.
SUFFIXES = {"float32": "", "int8": ".int8", "float16": ".fp16"}


@dataclass(frozen=True)
class Kind:
    """Models that sherpa-onnx opens with the same factory and arguments.

    Attributes:
        about: Name that people use.
        model_types: Names of the kind in the metadata of the first of `roles`.
        factory: Method of sherpa_onnx.OfflineRecognizer that opens it.
        roles: Beginning of the name of each file, and the argument of `factory` that takes it.
        settings: Further arguments of `factory`.
    """

    about: str
    model_types: frozenset[str]
    factory: str
    roles: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...] = ()


ONE_FILE = (("model", "model"),)
TRANSDUCER = (("encoder", "encoder"), ("decoder", "decoder"), ("joiner", "joiner"))
# Not here: WeNet, whose features sherpa-onnx computes with random noise; Whisper, of whose 30 s it decodes 29.5 s.
KINDS = (
    Kind("Paraformer", frozenset({"paraformer"}), "from_paraformer", (("model", "paraformer"),)),
    Kind("SenseVoice", frozenset({"sense_voice_ctc"}), "from_sense_voice", ONE_FILE),
    Kind(
        "NeMo CTC",
        frozenset({"EncDecCTCModel", "EncDecCTCModelBPE", "EncDecHybridRNNTCTCBPEModel"}),
        "from_nemo_ctc",
        ONE_FILE,
    ),
    Kind("Zipformer CTC", frozenset({"zipformer2_ctc"}), "from_zipformer_ctc", ONE_FILE),
    Kind(
        "Zipformer or Conformer transducer",
        frozenset({"zipformer2", "zipformer", "conformer"}),
        "from_transducer",
        TRANSDUCER,
    ),
    Kind(
        "NeMo transducer",
        frozenset({"EncDecRNNTBPEModel", "EncDecHybridRNNTCTCBPEModel"}),
        "from_transducer",
        TRANSDUCER,
        (("model_type", "nemo_transducer"),),
    ),
)


@dataclass(frozen=True)
class SherpaModel:
    """A model: its kind, and the file for each argument of the kind's factory."""

    kind: Kind
    tokens: str
    files: tuple[tuple[str, str], ...]


def find_sherpa_model(name: str, folder: Path, compute_type: str) -> SherpaModel:
    """The model in a folder of ONNX files, by their names and metadata.

    Args:
        name: Name as the user gave it.
        compute_type: Numbers to choose where there are files with several; "default" prefers float32.

    Raises:
        JobError: A file is missing or broken, or the model is of no kind in KINDS.
    """
    if not (folder / TOKENS).is_file():
        raise JobError(f"model {name}: {TOKENS} is missing beside the ONNX files in {folder}")
    roles = TRANSDUCER if _named(folder, "joiner") else ONE_FILE
    paths = {role: _choose(name, folder, role, compute_type) for role, _ in roles}
    first = paths[roles[0][0]]
    metadata = _metadata(name, first)
    model_type = metadata.get("model_type", "")
    for kind in KINDS:
        if model_type in kind.model_types and kind.roles[0][0] == roles[0][0]:
            _check_tokens(name, folder / TOKENS, metadata.get("vocab_size", ""))
            files = tuple((argument, str(paths[role])) for role, argument in kind.roles)
            return SherpaModel(kind, str(folder / TOKENS), files)
    kinds = ", ".join(kind.about for kind in KINDS)
    finding = f"is a model of type {model_type!r}" if model_type else "has no model_type in its metadata"
    raise JobError(
        f"model {name}: {first.name} {finding}; earmark runs {kinds} through sherpa-onnx, as published at {PUBLISHED}"
    )


def _named(folder: Path, role: str) -> list[Path]:
    """The files of a role: "encoder-epoch-99-avg-1.int8.onnx" is an encoder, "model-streaming.onnx" is not a model."""
    pattern = rf"{role}(\.int8|\.fp16)?\.onnx" if role == "model" else rf"{role}([-_.].*)?\.onnx"
    return sorted(path for path in folder.iterdir() if re.fullmatch(pattern, path.name))


def _choose(name: str, folder: Path, role: str, compute_type: str) -> Path:
    """The file of a role in the numbers of --compute_type; a decoder is often published in float32 alone."""
    accepted = ["float32" if compute_type == "default" else compute_type]
    if compute_type == "default" or role in ("decoder", "joiner"):
        accepted += SUFFIXES
    by_numbers = {numbers: [path for path in _named(folder, role) if _numbers(path) == numbers] for numbers in SUFFIXES}
    matching = next((by_numbers[numbers] for numbers in accepted if by_numbers[numbers]), [])
    if len(matching) > 1:
        names = ", ".join(path.name for path in matching)
        raise JobError(f"model {name}: {folder} holds several of one kind ({names}); keep only the one to use")
    if not matching:
        numbers = "" if compute_type == "default" else f" in {compute_type}"
        names = ", ".join(sorted(path.name for path in folder.glob("*.onnx")))
        raise JobError(f"model {name}: there is no {role}*.onnx{numbers} in {folder}; there are {names}")
    return matching[0]


def _numbers(path: Path) -> str:
    return next((numbers for numbers, suffix in SUFFIXES.items() if suffix and suffix in path.name), "float32")


def _check_tokens(name: str, tokens: Path, vocab_size: str) -> None:
    """Raises JobError for missing tokens; NeMo's models have one more than vocab_size, and others no vocab_size."""
    count = len(tokens.read_bytes().splitlines())
    if vocab_size.isdigit() and count < int(vocab_size):
        raise JobError(
            f"model {name}: {tokens} has {count} tokens, the model {vocab_size}; replace it with the file that belongs"
            " to the model"
        )


def _metadata(name: str, path: Path) -> dict[str, str]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # only its metadata is read
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except BROKEN as error:
        raise JobError(
            f"model {name}: {path.name} cannot be read ({error_message(error)}); fetch it again, whole"
        ) from error
    return dict(session.get_modelmeta().custom_metadata_map)
