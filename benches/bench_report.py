"""A report of 100,000 rows: time to write, size, peak memory, and time until it is interactive in a browser.

    python -m benches.bench_report [ROWS]

Runs without references, and with a reference of 26 words for each row, in which case all transcripts are scored as by
`earmark evaluate`. All clips are the same tone. The report is interactive when its table is visible and a search has
updated it, counted from the start of the navigation, in headless Chromium; the fastest of three.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.support.jobs import write_tone
from tests.support.outputs.builder import Row, write_output

TASKS = ("transcribe", "caption", "emotion")
WORDS = ("the", "red", "green", "house", "is", "not", "far", "away", "today", "and", "nobody", "knows", "why")
PART_ROWS = 256  # size of annotate's parts


def write_rows(folder: Path, count: int, references: bool) -> None:
    chance = np.random.default_rng(0)
    tone = str(write_tone(folder / "tone.wav", seconds=8))
    rows = []
    for number in range(count):
        transcript = " ".join(chance.choice(WORDS, 25))
        answers = {
            "transcribe": transcript,
            "caption": "Somebody speaks.",
            "emotion": str(chance.choice(["joy", "anger"])),
        }
        row = Row(
            f"r{number:07d}",
            answers,
            reference=f"{transcript} now" if references else None,
            duration_s=float(chance.lognormal(2, 0.5)),
            score=float(chance.uniform(0.2, 1)),
            uri=tone,
            avg_logprob=-float(chance.exponential(0.3)),
            flags=("repetition",) if chance.random() < 0.02 else (),
        )
        rows.append(row)
    write_output(folder / "out", rows, PART_ROWS, task=TASKS)


def write_page(folder: Path) -> dict[str, float]:
    """Write the report in a separate process, and measure its time, size and peak memory."""
    code = (
        "import resource, sys; from earmark.pipeline.cli import main; main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    started = time.perf_counter()
    arguments = ["report", str(folder / "out"), "--to", str(folder / "report.html")]
    finished = subprocess.run([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    peak_mb = int(finished.stderr.split()[-1]) / 1000
    size_mb = (folder / "report.html").stat().st_size / 1e6
    return {"write_s": round(seconds, 1), "size_mb": round(size_mb, 1), "peak_memory_mb": round(peak_mb)}


def interactive_s(page_file: Path) -> float:
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(3):
            page = browser.new_page()
            page.goto(page_file.as_uri(), wait_until="commit")
            page.locator("#body .open").nth(49).wait_for()
            page.locator("#search").fill("r0")
            page.locator("#body .open").first.wait_for()
            times.append(page.evaluate("performance.now()") / 1000)
            page.close()
        browser.close()
    return min(times)


def main(rows: int) -> None:
    for references in (False, True):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_rows(folder, rows, references)
            figures = write_page(folder)
            figures["interactive_s"] = round(interactive_s(folder / "report.html"), 2)
        print(json.dumps({"rows": rows, "references": references} | figures), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
