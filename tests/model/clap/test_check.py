"""Checks of CLAP jobs before any work."""

import logging

import pytest
from safetensors.torch import load_file, save_file

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.find_family import find_family
from earmark.model.clap.engine import Clap, check_job
from earmark.model.source import check_options
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import new_task
from tests.support.checkpoints.small_clap import write_clap
from tests.support.checkpoints.small_qwen2_audio import edit_json

pytestmark = pytest.mark.model

LABELS = ["some music", "no music"]


@pytest.fixture
def folder(tmp_path):
    return write_clap(tmp_path / "clap")


def check(folder, **options):
    job = JobOptions(**({"device": "cpu"} | options))
    return check_job(Checkpoint("m", str(folder), ""), job, job.tasks(), here=True)


def with_task(fields):
    return {"task": ("music",), "new_tasks": (new_task("music", fields),)}


def test_clap_is_recognized_by_its_config(folder):
    assert find_family(Checkpoint("m", str(folder), "")).about.startswith("CLAP")


def test_the_dimensions_of_vectors_come_from_the_checkpoint(folder):
    (task,) = check(folder, task=("embed",))
    assert task.dimensions == 16


def test_the_prompt_of_a_label_becomes_the_tasks_question(folder):
    emotion, vocal_sound = check(folder, task=("emotion", "vocal_sound"))
    for task in (emotion, vocal_sound):
        assert (task.base_prompt, task.chat_prompt) == (None, "{question}")
        assert task.question == "This is a sound of {label}."
    assert emotion.labels == JobOptions(task=("emotion",)).tasks()[0].labels


def test_a_prompt_with_a_slot_for_the_label_is_kept(folder, caplog):
    with caplog.at_level(logging.INFO, "earmark"):
        (task,) = check(folder, **with_task({"prompt": "It sounds like {label}", "labels": LABELS}))
        assert task.question == "It sounds like {label}"
        assert not caplog.records
        (task,) = check(folder, **with_task({"prompt": "Is there music?", "labels": LABELS}))
    assert task.question == "This is a sound of {label}."
    assert (
        "CLAP uses the prompt 'This is a sound of {label}.' for music, because the task's own has no {label}"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"task": ("transcribe", "emotion", "caption")},
            "model m is CLAP, which chooses among given labels and makes vectors; for transcribe, caption name",
        ),
        ({"task": ("chat",)}, "for chat name another model: --model chat="),
        ({"task": ("emotion",), "free_labels": True}, "for emotion name another model"),
        (with_task({"labels": "checkpoint"}), "for music name another model"),
        (
            {"task": ("emotion",), "label_map": ("emotion.hap=joy",)},
            "--label_map=emotion.* CLAP has no labels of its",
        ),
        ({"task": ("embed",), "compute_type": "int8"}, "--compute_type=int8 is not supported by cpu here"),
        (
            with_task({"prompt": "A {label}", "labels": ["x " * 80, "y"]}),
            "task music: label 'x x .* tokens with the prompt around it, and m takes at most 64; shorten it",
        ),
    ],
)
def test_unsupported_tasks_and_options_are_refused(folder, options, message):
    with pytest.raises(JobError, match=message):
        check(folder, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("preprocessor_config.json", "neither preprocessor_config.json nor processor_config.json"),
        ("tokenizer.json", "vocab.json, merges.txt missing in"),
        ("model.safetensors", r"there are no weights in .*pickles such as pytorch_model.bin are not even fetched"),
    ],
)
def test_an_incomplete_checkpoint_is_refused(folder, name, message):
    (folder / name).unlink()
    with pytest.raises(JobError, match=f"model m cannot be run: {message}"):
        check(folder, task=("emotion",))


def test_a_pickle_is_not_loaded(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(JobError, match=r"pytorch_model\.bin may hold code and is not loaded; convert it"):
        check(folder, task=("emotion",))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "preprocessor_config.json",
            {"truncation": "fusion"},
            "truncation 'fusion', but config.json has enable",
        ),
        ("preprocessor_config.json", {"feature_size": 80}, "makes 80 mel bands, but config.json has an encoder for 64"),
        ("preprocessor_config.json", {"padding": "left"}, "padding 'left', which is not one of repeatpad, repeat, pad"),
        (
            "preprocessor_config.json",
            {"feature_extractor_type": "WhisperFeatureExtractor"},
            "feature_extractor_type 'WhisperFeatureExtractor', not 'ClapFeatureExtractor'",
        ),
        ("config.json", {"projection_dim": "many"}, "model m cannot be run: .*projection_dim"),
        ("config.json", {"text_config.vocab_size": 10}, "its tokenizer has token ids beyond config.json's vocab_size"),
    ],
)
def test_files_of_different_checkpoints_are_refused(folder, file, changes, message):
    edit_json(folder / file, **changes)
    with pytest.raises(JobError, match=message):
        check(folder, task=("emotion",))


def test_missing_weights_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("audio_projection.linear1.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        JobError, match=r"1 of \d+ tensors are in none of the weight files .*\(audio_projection.linear1.w"
    ):
        check(folder, task=("emotion",))
    with pytest.raises(JobError, match=r"the weight files lack 1 tensor \(audio_projection.linear1.w"):
        Clap(str(folder), JobOptions(device="cpu", model_threads=1))


@pytest.mark.parametrize("options", [{"beam_size": 5}, {"timestamps": True}])
def test_options_that_clap_does_not_use_are_refused(folder, options):
    with pytest.raises(JobError, match="does not work: m"):
        check_options([Checkpoint("m", str(folder), "")], JobOptions(task=("emotion",), **options))
