"""Print results as JSON, for `--json`."""

import dataclasses
import json
import re
from typing import Any, TextIO

# Control characters that JSON does not escape, and those that change the writing direction.
TERMINAL_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def print_json(value: Any, file: TextIO | None = None) -> None:
    """Print a dataclass, or a list or mapping of JSON values, as indented JSON.

    Control characters in texts are escaped, so that they cannot steer a terminal.
    """
    text = json.dumps(value, default=dataclasses.asdict, ensure_ascii=False, indent=2)
    print(TERMINAL_CONTROLS.sub(lambda char: f"\\u{ord(char[0]):04x}", text), file=file)
