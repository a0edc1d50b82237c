"""The command with real weights, killed at random moments and run again."""

import random
import signal
import time

import pytest

from earmark.transforms.output.lease import take_lease
from earmark.transforms.output.store import OutputStore
from tests.support.jobs import (
    TINY,
    annotations,
    run_command,
    same,
)
from tests.support.killed_jobs import RECORDINGS, WHISPER, annotate_command, start_job, write_many_prompts

QWEN2_AUDIO = ("--model", str(TINY), "--task", "transcribe,caption,emotion")
KILLS = 3


@pytest.mark.slow
@pytest.mark.parametrize(("options", "longest_s"), [(WHISPER, 8.0), (QWEN2_AUDIO, 1.0)], ids=["whisper", "qwen2-audio"])
def test_a_job_killed_three_times_writes_every_recording_once_with_the_same_answers(tmp_path, options, longest_s):
    manifest, random_moments = write_many_prompts(tmp_path / "m.jsonl"), random.Random(20261122)
    killed_with: list[int] = []
    for _ in range(KILLS):
        process = start_job(annotate_command(manifest, tmp_path / "killed", options), tmp_path / "killed")
        time.sleep(random_moments.uniform(0, longest_s))  # so that any stage may be running
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed_with.append(len(annotations(tmp_path / "killed")))
    assert killed_with == sorted(killed_with) and killed_with[0] > 0 and killed_with[-1] < RECORDINGS

    undisturbed = run_command(*annotate_command(manifest, tmp_path / "undisturbed", options)[3:])
    resumed = run_command(*annotate_command(manifest, tmp_path / "killed", options)[3:])
    assert (undisturbed.returncode, resumed.returncode) == (0, 0), resumed.stderr
    expected, resumed_rows = annotations(tmp_path / "undisturbed"), annotations(tmp_path / "killed")
    assert [row["id"] for row in resumed_rows] == [f"{number:03d}" for number in range(RECORDINGS)]
    for row, expected_row in zip(resumed_rows, expected, strict=True):
        assert same(row, expected_row), f"{row}\n{expected_row}"


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_job_prints_how_to_resume_and_releases_the_output(tmp_path, stop, status):
    process = start_job(annotate_command(write_many_prompts(tmp_path / "m.jsonl"), tmp_path / "out"), tmp_path / "out")
    process.send_signal(stop)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == status
    assert printed.splitlines()[-1].startswith("earmark: stopped; finished work is saved")
    take_lease(OutputStore(str(tmp_path / "out")), "another", take_over=False)
