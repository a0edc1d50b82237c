"""The whole annotate job with Qwen2-Audio; tests/end_to_end/test_kill_and_resume.py kills it."""

import json
import random
from pathlib import Path

import pytest
import soundfile

from earmark.pipeline.annotate import assign, run_job
from earmark.pipeline.launch import ExecutionTarget, launched_run
from earmark.pipeline.runner import embedded_options
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.hostile_files import make_hostile_files
from tests.support.jobs import PHONE_PROMPTS, TINY, annotations, failures, manifest_lines, same, write_manifest

pytestmark = pytest.mark.model

SCENES = TINY.parent / "scenes" / "manifest.jsonl"
TASKS = ("transcribe", "caption", "emotion")


def run_tiny(manifest, output, workers=2, **options):
    """A run of the whole graph with the tiny checkpoint, in this process."""
    job = JobOptions(task=TASKS, model=(str(TINY),), **options)
    assignments, models = assign(job, here=True)
    with launched_run(str(manifest), str(output), job, models, ExecutionTarget(workers)) as run:
        return run_job(run, assignments, embedded_options([f"--direct_num_workers={workers}"]))


def examples():
    """Phone prompts and scenes as rows whose audio can be found from anywhere."""
    return [
        {**json.loads(line), "audio_filepath": str(manifest.parent / json.loads(line)["audio_filepath"])}
        for manifest in (PHONE_PROMPTS, SCENES)
        for line in manifest.read_text().splitlines()
    ]


def test_a_shuffled_manifest_other_workers_and_shards_give_the_same_rows(tmp_path):
    rows = examples()
    run_tiny(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "one", workers=1)
    random.Random(4).shuffle(rows)
    run_tiny(write_manifest(tmp_path / "n.jsonl", rows), tmp_path / "four", workers=4, shard_rows=5, batch_s=30.0)
    rows, expected = annotations(tmp_path / "four"), annotations(tmp_path / "one")
    assert [row["id"] for row in rows] == sorted(row["id"] for row in expected)
    for row, expected_row in zip(rows, expected, strict=True):
        assert same(row, expected_row), f"{row}\n{expected_row}"


def test_hostile_files_are_failures_and_the_rest_is_annotated(tmp_path):
    hostile = make_hostile_files(tmp_path / "hostile")
    rows = [{"id": file.name, "audio_filepath": file.uri} for file in hostile]
    summary = run_tiny(
        write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out", max_duration_s=3600.0, max_failure_ratio=1.0
    )
    assert summary.adds_up
    assert {row["id"]: row["error"] for row in failures(tmp_path / "out")} == {
        file.name: file.error for file in hostile if file.error
    }
    for row in annotations(tmp_path / "out"):
        assert row["emotion"]["label"]
        assert row["caption"]["text"] or "empty" in row["caption"]["flags"]


def test_audio_of_a_few_samples_is_annotated(tmp_path):
    waveform, rate = soundfile.read(SCENES.parent / json.loads(SCENES.read_text().splitlines()[0])["audio_filepath"])
    assert rate == SAMPLE_RATE_HZ
    for samples in (1, 2, 159, 160, 320, 321, 480):
        soundfile.write(tmp_path / f"{samples:03d}.wav", waveform[4000 : 4000 + samples], rate)
    summary = run_tiny(tmp_path, tmp_path / "out")
    assert (summary.annotated, summary.failed) == (7, 0)
    assert all(row["emotion"]["label"] for row in annotations(tmp_path / "out"))


@pytest.mark.parametrize("task", TASKS)
def test_the_committed_scenes_are_annotated_correctly(tmp_path_factory, task):
    """Scenes that the checkpoint has not been trained on; its model card has the figures of many more."""
    output = tmp_path_factory.getbasetemp() / "scenes"
    if not output.exists():
        run_tiny(SCENES, output)
    truths = {row["audio_filepath"]: row for row in manifest_lines(SCENES)}
    answers, expected = [], []
    for row in annotations(output):
        truth = truths[Path(row["uri"]).name]
        if task == "transcribe":
            answers.append(row["transcribe"]["text"] or "(no speech)")
            expected.append(truth["text"])
        else:
            answers.append(row[task]["text" if task == "caption" else "label"])
            expected.append(truth[task])
    wrong = [pair for pair in zip(answers, expected, strict=True) if pair[0] != pair[1]]
    assert len(wrong) <= len(expected) // 8, wrong
