"""Read a dataset card, and run its code as a user without a network."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

LOAD = """
import json, os, sys
for variable in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
    os.environ[variable] = "1"
os.environ["HF_HOME"] = sys.argv[1]
import datasets
datasets.disable_progress_bars()
"""


def run_offline(code: str, folder: Path, cache: Path) -> str:
    """Run a script that uses datasets in a folder, without a network; return its output."""
    command = [sys.executable, "-c", LOAD + code, str(cache)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def metadata_of(card: str) -> dict[str, Any]:
    """The YAML at the beginning of a card."""
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(metadata, dict)
    return metadata


def code_blocks(card: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", card, re.DOTALL)
