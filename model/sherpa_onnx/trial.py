"""A trial run of a model in sherpa-onnx, in a process of its own, because sherpa-onnx ends the process on an error."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from earmark.model.sherpa_onnx.files import find_sherpa_model
from earmark.model.sherpa_onnx.recognizer import decode_alone, open_recognizer
from earmark.schemas.errors import JobError
from earmark.schemas.records import SAMPLE_RATE_HZ

TIMEOUT_S = 600.0
CAUGHT = "Caught exception"  # in its stderr where it returns an empty text instead of failing


def check_sherpa_runs(name: str, folder: Path, compute_type: str) -> None:
    """Raises JobError, with sherpa-onnx's message, where it cannot open the model or decode a second of noise."""
    command = [sys.executable, "-m", "earmark.model.sherpa_onnx.trial", name, str(folder), compute_type]
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env={**os.environ, "PYTHONPATH": path}
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"model {name}: sherpa-onnx has not opened it within {TIMEOUT_S:g} s") from error
    if run.returncode == 0 and CAUGHT not in run.stderr:
        return
    lines = [line.strip() for line in run.stderr.split(CAUGHT)[-1].splitlines() if line.strip(" :")]
    reason = (lines[0] if CAUGHT in run.stderr else lines[-1]) if lines else f"it ended with status {run.returncode}"
    raise JobError(
        f"model {name}: sherpa-onnx cannot run it ({reason}); take the model as published for sherpa-onnx, not one for"
        " streaming, and the tokens.txt that belongs to it"
    )


def main(name: str, folder: str, compute_type: str) -> None:
    recognizer = open_recognizer(find_sherpa_model(name, Path(folder), compute_type), "cpu")
    noise = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE_HZ).astype(np.float32)
    decode_alone(recognizer, noise)


if __name__ == "__main__":
    main(*sys.argv[1:])
