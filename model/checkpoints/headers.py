"""Headers of safetensors files: types and shapes, without reading the tensors."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """A tensor's type as safetensors names it ("F16", "BF16"), and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorHeader]:
    """The tensors of a file by name.

    Raises:
        ValueError: The file is longer or shorter than its header says, or not a safetensors file.
        OSError: The file cannot be read.
    """
    try:
        # numpy: so that torch is not loaded; the library maps the file and compares its length with the header.
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
            return {name: TensorHeader(part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {_reason(path, error)}") from error


def _reason(path: Path, error: SafetensorError) -> str:
    with open(path, "rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            return "it is only Git LFS's pointer to one (git lfs pull gets the file)"
    return f"{error}, at {path.stat().st_size:,} bytes"
