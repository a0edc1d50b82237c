"""Figures as JSON on a terminal or in a file: what `--json` prints."""

import dataclasses
import json
import re
from typing import Any, TextIO

# Controls beyond ASCII's, which JSON leaves as they are, and those that change the writing direction.
TERMINAL_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def print_json(value: Any, file: TextIO | None = None) -> None:
    """A frozen dataclass, or a list or mapping of what JSON can say, as JSON whose last line ends.

    What a terminal would obey is escaped in any text.
    """
    text = json.dumps(value, default=dataclasses.asdict, ensure_ascii=False, indent=2)
    print(TERMINAL_CONTROLS.sub(lambda char: f"\\u{ord(char[0]):04x}", text), file=file)
