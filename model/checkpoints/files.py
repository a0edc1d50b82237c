"""Which files make a checkpoint, and the digest that names them wherever they are."""

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

# What an engine reads; a folder may hold more (other formats, pictures). Never a pickle: those can hold code.
FILES = (
    "adapter.*.safetensors",  # of MMS, one a language
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "decoder*.onnx",
    "encoder*.onnx",
    "encoder*.weights",  # of an ONNX file that would be larger than 2 GB
    "generation_config.json",
    "joiner*.onnx",
    "merges.txt",
    "model*.onnx",
    "model*.safetensors",
    "model.bin",  # CTranslate2's own format
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "spm_char.model",  # SpeechT5's characters
    "tekken.json",  # Mistral's tokenizers
    "tokenizer.json",
    "tokenizer_config.json",
    "tokens.txt",
    "vocab.json",
    "vocabulary.*",
)


def is_read(name: str) -> bool:
    """Whether engines read a file of this name."""
    return any(fnmatchcase(name, pattern) for pattern in FILES)


def folder_digest(folder: Path) -> str:
    """sha256, in hexadecimal, over the names and contents of the files of a folder that engines read."""
    sha256s = {}
    for path in folder.iterdir():
        if is_read(path.name):
            with open(path, "rb") as file:
                sha256s[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return files_digest(sha256s)


def files_digest(sha256s: Mapping[str, str]) -> str:
    """The same, from the sha256 of each file by its name."""
    digest = hashlib.sha256()
    for name in sorted(sha256s):
        digest.update(f"{name} {sha256s[name]}\n".encode())
    return digest.hexdigest()
