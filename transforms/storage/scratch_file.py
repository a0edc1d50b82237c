"""Files in the scratch folder of a shard."""

import os.path
from pathlib import Path
from typing import Any, Literal

from earmark.schemas.errors import MachineError


def write(path: str | Path, content: Any, mode: Literal["wb", "ab"]) -> None:
    """Write bytes or a contiguous array to a file ("wb"), or append them ("ab").

    Raises:
        MachineError: The disk is full or fails.
    """
    try:
        with open(path, mode) as file:
            file.write(content)
    except OSError as error:
        raise no_scratch(os.path.dirname(path), error) from error


def no_scratch(folder: str, error: OSError) -> MachineError:
    return MachineError(f"{folder} takes no more audio ({error}); make room there, or give another --scratch_dir")
