"""Jobs with a real model in a process of their own, which a test can kill."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.jobs import PHONE_PROMPTS, command_line, manifest_lines, write_manifest

RECORDINGS = 200
WHISPER = ("--model", "whisper-tiny.en", "--beam_size", "1")
DEADLINE_S = 300


def start_job(command: Sequence[str], output: Path) -> subprocess.Popen[str]:
    """Start a job and return its process as soon as it has written another part."""
    before = len(list(output.glob("annotations/*/*.parquet")))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + DEADLINE_S
    while len(list(output.glob("annotations/*/*.parquet"))) == before:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


def write_many_prompts(path: Path) -> Path:
    """Write a manifest that repeats the phone prompts under new ids."""
    rows = manifest_lines(PHONE_PROMPTS)
    rows.sort(key=lambda row: row["duration"])
    short = rows[: len(rows) // 2]  # Whisper takes as long for any window of 30 s
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


def annotate_command(manifest: Path | str, output: Path, options: Sequence[str] = WHISPER) -> list[str]:
    """The command line of `earmark annotate`, with small shards."""
    return command_line("annotate", manifest, output, *options, "--shard_rows", "16")
