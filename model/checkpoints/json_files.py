"""JSON files of a checkpoint."""

import json
from pathlib import Path
from typing import Any


def json_object(path: Path) -> dict[str, Any]:
    """A file's JSON object; an absent file counts as an empty one. Raises ValueError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return content


def json_part(content: dict[str, Any], key: str) -> dict[str, Any]:
    """An object within an object; an absent one counts as empty."""
    part = content.get(key) or {}
    if not isinstance(part, dict):
        raise ValueError(f"{key} is {part!r}, not a JSON object")
    return part
