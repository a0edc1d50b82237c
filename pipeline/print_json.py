"""What --json prints. Imports nothing heavy."""

import dataclasses
import json
import sys
from typing import Any, TextIO


def print_json(found: Any, file: TextIO | None = None) -> None:
    """Frozen dataclasses, and lists and texts of them, as JSON of one value that ends its line."""
    print(json.dumps(found, default=dataclasses.asdict, ensure_ascii=False, indent=2), file=file or sys.stdout)
