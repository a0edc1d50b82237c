"""The command itself, with real weights, killed at random moments and started again."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import PHONE_PROMPTS, annotations, command_line, run_command, write_manifest

RECORDINGS = 200
KILLS = 3
DEADLINE_S = 300


def many_prompts(path: Path) -> Path:
    """The phone prompts, over and over, as recordings of their own."""
    rows = [json.loads(line) for line in PHONE_PROMPTS.read_text().splitlines()]
    rows.sort(key=lambda row: row["duration"])
    short = rows[: len(rows) // 2]  # a 30 s window costs the model the same whatever is in it
    return write_manifest(
        path,
        [
            {
                "id": f"{number:03d}",
                "audio_filepath": str(PHONE_PROMPTS.parent / short[number % len(short)]["audio_filepath"]),
            }
            for number in range(RECORDINGS)
        ],
    )


def annotate(manifest: Path, output: Path) -> list[str]:
    options = ("--model", "whisper-tiny.en", "--beam_size", "1", "--shard_rows", "16")
    return command_line("annotate", manifest, output, *options)


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with floats that pytest.approx can compare; it does not look into nested lists."""
    for row in rows:
        answer = row.pop("transcribe")
        (segment,) = answer.pop("segments")
        row |= {f"transcribe.{name}": value for name, value in answer.items()}
        row |= {f"segment.{name}": value for name, value in segment.items()}
        row |= {f"audio.{name}": value for name, value in row.pop("audio").items()}
    return rows


@pytest.mark.slow
def test_a_job_killed_three_times_delivers_every_recording_once_and_the_same(tmp_path: Path) -> None:
    manifest, random_moments = many_prompts(tmp_path / "m.jsonl"), random.Random(20261122)
    killed_with: list[int] = []
    for _ in range(KILLS):
        parts_before = len(list(tmp_path.glob("killed/annotations/*/*.parquet")))
        process = subprocess.Popen(annotate(manifest, tmp_path / "killed"), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_S
        while len(list(tmp_path.glob("killed/annotations/*/*.parquet"))) == parts_before:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(random_moments.uniform(0, 8))  # from then on, anything may be going on
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed_with.append(len(annotations(tmp_path / "killed")))
    assert killed_with == sorted(killed_with) and killed_with[0] > 0 and killed_with[-1] < RECORDINGS

    undisturbed = run_command(*annotate(manifest, tmp_path / "undisturbed")[3:])
    resumed = run_command(*annotate(manifest, tmp_path / "killed")[3:])
    assert (undisturbed.returncode, resumed.returncode) == (0, 0), resumed.stderr
    expected, found = annotations(tmp_path / "undisturbed"), annotations(tmp_path / "killed")
    assert [row["id"] for row in found] == [f"{number:03d}" for number in range(RECORDINGS)]
    for row, other in zip(comparable(found), comparable(expected), strict=True):
        assert row == pytest.approx(other, abs=1e-4)
