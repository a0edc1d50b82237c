"""The family of a checkpoint: the first that recognizes its config.json."""

from pathlib import Path
from typing import Any

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object
from earmark.model.families import FAMILIES, Family
from earmark.schemas.errors import JobError
from earmark.schemas.text import join_some


def find_family(checkpoint: Checkpoint) -> Family:
    """The family whose engine runs the checkpoint.

    Raises:
        JobError: No engine does.
    """
    folder = Path(checkpoint.folder)
    config = _read_config(folder)
    for family in FAMILIES:
        if family.runs(folder, config):
            return family
    files = join_some(sorted(path.name for path in folder.iterdir()), 12) or "nothing"
    kind = f"a model of type {config['model_type']!r}: " if "model_type" in config else ""
    families = ", ".join(family.about for family in FAMILIES)
    raise JobError(
        f"model {checkpoint.name} is not one that earmark runs: found {kind}{files}. It runs {families}; name one of"
        " those, a served one, or an engine of your own (docs/systems.md)"
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        return json_object(folder / "config.json")
    except ValueError as error:
        raise JobError(str(error)) from error
