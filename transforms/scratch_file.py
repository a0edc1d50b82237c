"""Files in the scratch folder of a shard."""

import os.path
from pathlib import Path
from typing import Any

from schemas.errors import MachineError


def append(path: str | Path, content: Any) -> None:
    """Adds bytes, or a contiguous array's, to a file, which is made where there is none.

    Raises:
        MachineError: the disk takes no more.
    """
    try:
        with open(path, "ab") as file:
            file.write(content)
    except OSError as error:
        raise no_scratch(os.path.dirname(path), error) from error


def no_scratch(folder: str, error: OSError) -> MachineError:
    return MachineError(f"{folder} takes no more audio ({error}); make room there, or give another --scratch_dir")
