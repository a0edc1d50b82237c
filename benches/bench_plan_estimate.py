"""The time that `earmark plan --measure` estimates for the demo, compared with the time it takes.

    python -m benches.bench_plan_estimate [ROUNDS]

For each corpus of `make demo`, the plan, which annotates its recordings to measure this machine, and the run take
turns, and the fastest round of each counts. Both are timed by the clock, so the ratio means little on a busy
machine; the load average over the last minute is printed with it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.jobs import EXAMPLES, PHONE_PROMPTS, TINY, command_line

TASKS = ("--task", "transcribe,caption,emotion")
CORPORA = {
    "phone-prompts": (PHONE_PROMPTS, f"{TINY},transcribe=whisper-tiny.en"),
    "scenes": (EXAMPLES / "scenes" / "manifest.jsonl", str(TINY)),
}


def estimated(manifest: Path, model: str) -> dict[str, Any]:
    recordings = len(manifest.read_text().splitlines())
    command = command_line("plan", manifest, *TASKS, "--model", model, "--measure", recordings, "--json")
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(finished.stdout)["measured_here"])


def measured_s(manifest: Path, model: str, output: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command_line("annotate", manifest, output, *TASKS, "--model", model), stdout=sys.stderr, check=True)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    figures: dict[str, Any] = {"rounds": rounds}
    with tempfile.TemporaryDirectory() as folder:
        for name, (manifest, model) in CORPORA.items():
            plans, runs, loads = [], [], []
            for number in range(rounds):
                plans.append(estimated(manifest, model))
                runs.append(measured_s(manifest, model, Path(folder) / f"{name}-{number}"))
                loads.append(round(os.getloadavg()[0], 1))
            plan, run_s = min(plans, key=lambda estimate: float(estimate["run_s"])), min(runs)
            figures[name] = {
                "estimated_s": round(plan["run_s"], 1),
                "of_it_start_s": round(plan["start_s"], 1),
                "measured_s": round(run_s, 1),
                "ratio": round(plan["run_s"] / run_s, 2),
                "loads": loads,
            }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
