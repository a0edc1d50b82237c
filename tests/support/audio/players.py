"""A player that plays nothing and keeps what it is given."""

import os
import sys
from pathlib import Path

import pytest

SCRIPT = """#!{python}
import json, shutil, sys
shutil.copy(sys.argv[-1], {folder!r} + "/played.wav")
open({folder!r} + "/arguments.json", "w").write(json.dumps(sys.argv[1:]))
print("{name} talks to stdout")
sys.exit({status})
"""


def put_player(folder: Path, name: str, status: int = 0) -> Path:
    """Write an executable of that name into `folder`, which copies its input to played.wav in the folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(SCRIPT.format(python=sys.executable, folder=str(folder), name=name, status=status))
    path.chmod(0o755)
    return path


def only_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Hides the players that this machine may have."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", os.fspath(folder))
