"""The description of a run, as a launch writes it, without a run."""

import json
from typing import Any

from earmark.reporting.provenance import RUNS
from earmark.transforms.output.store import OutputStore

RUN_ID = "20260101T000000Z-aaaaaa"


def write_run_info(store: OutputStore, run_id: str = RUN_ID, **options: Any) -> None:
    """Write the `run.json` of a run that was launched with `options`."""
    content = {
        "run_id": run_id,
        "fingerprint": "0" * 64,
        "manifests": ["manifest.jsonl"],
        "options": {"model": [], "columns": [], "audio_root": "", **options},
        "workers": 1,
        "host": "build-machine",
        "python": "3.11.7",
        "libraries": {"earmark": "0.1.0"},
    }
    store.create(f"{RUNS}/{run_id}/run.json", json.dumps(content).encode())
