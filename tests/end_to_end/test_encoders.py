"""Whole jobs with a CTC model and an audio classifier, whose Parquet is read again."""

import json
import logging
import re

import numpy as np
import pytest
import soundfile

from earmark.pipeline.annotate import assign, run_job
from earmark.pipeline.cli import build_parser
from earmark.pipeline.console.job_flags import merge_options
from earmark.pipeline.launch import ExecutionTarget, launched_run
from earmark.pipeline.runner import embedded_options
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from tests.support.audio.clips import make_samples
from tests.support.checkpoints.small_encoders import write_classifier, write_mms
from tests.support.jobs import PHONE_PROMPTS, annotations, failures, write_manifest

pytestmark = pytest.mark.model

JOB = """
task: [transcribe, emotion, mood]
new_tasks: {{mood: {{labels: checkpoint}}}}
model: {{transcribe: "{mms}", emotion: "{classifier}", mood: "{classifier}"}}
label_map: {{emotion.neu: neutral, emotion.hap: joy, emotion.ang: anger, emotion.sad: sadness, mood.neu: calm}}
device: cpu
timestamps: true
max_failure_ratio: 1.0
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A folder with models, recordings of three languages, one unknown, and a job file."""
    folder = tmp_path_factory.mktemp("job")
    write_mms(folder / "mms", eng="ABCDEFG", fra="abcdefgé")
    write_classifier(folder / "classifier", ["neu", "hap", "ang", "sad"])
    speech, rate = soundfile.read(PHONE_PROMPTS.parent / "conf-now-muted.flac", dtype="float32")
    rows = []
    for number, language in enumerate(("en", "fr", "tlh", "en")):
        noise = np.resize(make_samples(1.0, number), len(speech))
        soundfile.write(folder / f"{number}.wav", 0.9 * speech + 0.05 * noise, rate)
        rows.append({"id": f"{number}", "audio_filepath": f"{number}.wav", "language": language})
    write_manifest(folder / "m.jsonl", rows)
    (folder / "job.yaml").write_text(JOB.format(mms=folder / "mms", classifier=folder / "classifier"))
    return folder


def run_here(job, output):
    """`earmark annotate --config job.yaml`, in this process."""
    flags = ["annotate", "m.jsonl", "out", "--config", str(job / "job.yaml")]
    options = merge_options(build_parser().parse_args(flags))
    options.check()
    assignments, models = assign(options, here=True)
    with launched_run(str(job / "m.jsonl"), str(output), options, models, ExecutionTarget(2)) as run:
        return run_job(run, assignments, embedded_options(["--direct_num_workers=2"]))


def test_a_job_file_s_labels_and_map_come_out_in_the_parquet(job, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "earmark"):
        summary = run_here(job, tmp_path)
    assert (summary.annotated, summary.failed, summary.adds_up) == (3, 1, True)
    assert "the model lacks surprise, fear, disgust (score 0)" in caplog.text
    rows = annotations(tmp_path)
    assert [row["id"] for row in rows] == ["0", "1", "3"]
    languages = [("en", "ABCDEFG "), ("fr", "abcdefgé "), ("en", "ABCDEFG ")]
    for row, (language, letters) in zip(rows, languages, strict=True):
        emotion, mood, transcript = row["emotion"], row["mood"], row["transcribe"]
        assert [score["label"] for score in mood["scores"]] == ["calm", "hap", "ang", "sad"]
        shares = {score["label"]: score["score"] for score in emotion["scores"]}
        assert shares["fear"] == shares["surprise"] == shares["disgust"] == 0.0
        expected = [shares[label] for label in ("neutral", "joy", "anger", "sadness")]
        assert [score["score"] for score in mood["scores"]] == pytest.approx(expected, abs=1e-6)
        assert emotion["score"] == max(shares.values()) and emotion["avg_logprob"] <= 0.0
        assert transcript["language"] == language
        text = re.sub("<s>|</s>|<unk>|<pad>", "", transcript["text"])
        assert set(text) <= set(letters) and transcript["segments"]
        ends = [segment["end_s"] for segment in transcript["segments"]]
        assert ends == sorted(ends) and ends[-1] <= row["audio"]["duration_s"]
    (failure,) = failures(tmp_path)
    assert (failure["id"], failure["error"]) == ("2", "language")
    assert "the model has no adapter for the language 'tlh', only for eng, fra" in failure["message"]
    tasks = {task["name"]: task for task in json.loads((tmp_path / "_earmark" / "job.json").read_text())["tasks"]}
    assert tasks["mood"]["labels"] == ["calm", "hap", "ang", "sad"]
    assert ["hap", "joy"] in tasks["emotion"]["label_map"]


def test_another_map_of_labels_is_another_job(job):
    def described(*label_map):
        options = JobOptions(
            task=("emotion",),
            model=(str(job / "classifier"),),
            device="cpu",
            label_map=("emotion.neu=neutral", *label_map),
        )
        return JobDescription.of(options, assign(options, here=True)[1], "")

    joy, surprise = described("emotion.hap=joy"), described("emotion.hap=surprise")
    (difference,) = surprise.differences(json.loads(joy.to_json()))
    assert "emotion.label_map was" in difference and joy.fingerprint != surprise.fingerprint
