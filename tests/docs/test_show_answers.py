"""The table that `make demo` prints at its end."""

import subprocess
import sys

import pytest

from tests.support.jobs import EXAMPLES
from tests.support.outputs.builder import Row, write_output

pytestmark = pytest.mark.process


def test_the_table_has_references_answers_and_scores(tmp_path):
    answers = {"transcribe": "press one", "caption": "a voice", "emotion": "joy"}
    rows = [Row("a", answers, "press one"), Row("b", answers, None, score=None)]
    write_output(tmp_path / "out", rows, task=tuple(answers))
    command = [sys.executable, EXAMPLES / "show_answers.py", tmp_path / "out"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "100"}).stdout
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if "wav" in line]
    assert cells == [
        ["a.wav", "press one", "press one", "a voice", "joy 0.75"],
        ["b.wav", "", "press one", "a voice", "joy"],
    ]
    assert "2 annotations" in printed
