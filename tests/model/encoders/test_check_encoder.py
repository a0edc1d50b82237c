"""Checks of CTC models and audio classifiers before any work."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from earmark.model.checkpoints.checkpoint import Checkpoint, find_checkpoint
from earmark.model.checkpoints.find_family import find_family
from earmark.model.segments.label_matching import match_labels
from earmark.model.source import check_options, check_source, open_source
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task, new_task
from tests.support.checkpoints.small_encoders import SMALL, write_classifier, write_ctc, write_mms
from tests.support.checkpoints.small_qwen2_audio import edit_json

pytestmark = pytest.mark.model

SUPERB = ["neu", "hap", "ang", "sad"]
MAP = ("emotion.neu=neutral", "emotion.HAP = joy".replace(" ", ""), "emotion.ang=anger", "emotion.sad=sadness")


def check(folder, **options):
    job = JobOptions(device="cpu", **options)
    job.check_tasks()
    return check_source(find_checkpoint(str(folder)), job, job.tasks(), here=True)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with a checkpoint of each kind."""
    root = tmp_path_factory.mktemp("checkpoints")
    write_ctc(root / "ctc")
    write_mms(root / "mms", eng="ABC", fra="abcd")
    write_classifier(root / "classifier", SUPERB)
    return root


@pytest.fixture
def folder(checkpoints, tmp_path):
    """A copy of it, for tests that damage files."""
    return Path(shutil.copytree(checkpoints, tmp_path / "copies"))


def test_complete_checkpoints_pass_as_their_kind(checkpoints):
    (transcribe,) = check(checkpoints / "ctc")
    assert transcribe.name == "transcribe"
    assert check(checkpoints / "mms", language="fr")
    (emotion,) = check(checkpoints / "classifier", task=("emotion",), label_map=MAP)
    assert emotion.label_map == (("neu", "neutral"), ("HAP", "joy"), ("ang", "anger"), ("sad", "sadness"))
    for name, about in (("ctc", "CTC models"), ("mms", "CTC models"), ("classifier", "audio classifiers")):
        assert find_family(find_checkpoint(str(checkpoints / name))).about.startswith(about)


def test_only_ctc_models_time_phrases(checkpoints):
    timed, beams = JobOptions(timestamps=True), JobOptions(beam_size=5)
    check_options([find_checkpoint(str(checkpoints / "ctc"))], timed)
    with pytest.raises(JobError, match="--timestamps does not work"):
        check_options([find_checkpoint(str(checkpoints / "classifier"))], timed)
    with pytest.raises(JobError, match="--beam_size=5 does not work"):
        check_options([find_checkpoint(str(checkpoints / "ctc"))], beams)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("ctc", {"task": ("caption",)}, "is a CTC model, which transcribes; for caption name another model"),
        ("ctc", {"task": ("transcribe", "translate")}, "for translate name another model"),
        ("classifier", {}, r"is a classifier \(Wav2Vec2ForSequenceClassification\), .*; for transcribe name another"),
        ("classifier", {"task": ("emotion",), "free_labels": True}, "--free_labels does not work: .* writes no text"),
        (
            "mms",
            {"language": "tlh"},
            "--language=tlh does not work: .* language 'tlh', only for eng, fra",
        ),
        ("ctc", {"compute_type": "int8"}, "--compute_type=int8 is not supported by cpu"),
    ],
)
def test_unsupported_tasks_and_options_are_refused(checkpoints, model, options, message):
    with pytest.raises(JobError, match=message):
        check(checkpoints / model, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vocab.json", "vocab.json missing in .*get the whole checkpoint"),
        ("preprocessor_config.json", "cannot be run: .*preprocessor_config.json"),
        ("model.safetensors", "there are no weights in .*neither model.safetensors nor model.safetensors.index.json"),
    ],
)
def test_a_missing_file_is_named(folder, name, message):
    (folder / "ctc" / name).unlink()
    with pytest.raises(JobError, match=message):
        check(folder / "ctc")


def test_missing_adapters_are_named(folder):
    (folder / "mms" / "adapter.fra.safetensors").unlink()
    assert check(folder / "mms", language="en")
    with pytest.raises(JobError, match=r"--language=fr does not work: .*, only for eng"):
        check(folder / "mms", language="fr")
    (folder / "mms" / "adapter.eng.safetensors").unlink()
    with pytest.raises(
        JobError, match=r"by language \(eng, fra\), but no adapter\.\*\.safetensors is in .*; get those"
    ):
        check(folder / "mms")


def test_a_checkpoint_that_was_not_trained_to_write_is_refused(tmp_path):
    Wav2Vec2ForPreTraining(Wav2Vec2Config(**SMALL, codevector_dim=32, proj_codevector_dim=32)).save_pretrained(tmp_path)
    message = "is Wav2Vec2ForPreTraining, which was not trained to write text: name a checkpoint .*ForCTC"
    with pytest.raises(JobError, match=message):
        check(tmp_path)
    edit_json(tmp_path / "config.json", architectures=None)
    with pytest.raises(JobError, match=r"of an architecture that config\.json does not name, which was not trained"):
        check(tmp_path)


def test_a_head_that_was_never_trained_is_refused(folder):
    weights = folder / "ctc" / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(weights).items() if "lm_head" not in name}, weights)
    with pytest.raises(
        JobError, match=r"2 of \d+ tensors are in none .*lm_head\.bias.*; get .*, or name one that was trained for this"
    ):
        check(folder / "ctc")


def test_incomplete_weights_are_refused(folder):
    weights = folder / "ctc" / "model.safetensors"
    save_file(
        {name: tensor for name, tensor in load_file(weights).items() if "layers.1" not in name},
        weights,
        {"format": "pt"},
    )
    message = r"the weight files .*layers\.1"
    with pytest.raises(JobError, match=message):
        check(folder / "ctc")
    with pytest.raises(JobError, match=message):
        open_source(find_checkpoint(str(folder / "ctc")), JobOptions(device="cpu"))


def test_audio_of_another_rate_is_refused(folder):
    edit_json(folder / "classifier" / "preprocessor_config.json", sampling_rate=8000)
    with pytest.raises(JobError, match="its processor has sampling_rate 8000, not 16000"):
        check(folder / "classifier", task=("emotion",), label_map=MAP)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem_type": "regression"}, "predicts a number, .*'regression'.*; name a classifier"),
        ({"id2label": {"0": "arousal"}, "label2id": {"arousal": 0}}, r"has 1 label,"),
    ],
)
def test_a_regression_is_no_classifier(folder, changes, message):
    edit_json(folder / "classifier" / "config.json", **changes)
    with pytest.raises(JobError, match=message):
        check(folder / "classifier", task=("emotion",))


@pytest.mark.parametrize("labels", [{"a": "neu", "b": "hap"}, ["neu", "hap"], "neu"])
def test_labels_without_numbers_are_refused(folder, labels):
    edit_json(folder / "classifier" / "config.json", id2label=labels)
    with pytest.raises(JobError, match=r"config\.json has no numbered labels in id2label; get the published file"):
        check(folder / "classifier", task=("emotion",))


def test_labels_with_nothing_in_common_are_refused_with_both_lists_and_a_remedy(checkpoints):
    message = (
        "task vocal_sound has the labels Laughter, .*, model .* has neu, hap, ang, sad, and none is in both; map"
        r" them \(--label_map vocal_sound\.neu=Laughter,…\), or name another model"
    )
    with pytest.raises(JobError, match=message):
        check(checkpoints / "classifier", task=("vocal_sound",))


def test_a_label_map_of_labels_that_the_model_lacks_is_refused(checkpoints):
    with pytest.raises(JobError, match=r"--label_map=emotion\.happy=… does not work: model .* has the labels neu, hap"):
        check(checkpoints / "classifier", task=("emotion",), label_map=("emotion.happy=joy", *MAP))


def test_labels_without_a_counterpart_are_named_once(checkpoints, caplog):
    with caplog.at_level(logging.WARNING, "earmark"):
        check(checkpoints / "classifier", task=("emotion",), label_map=MAP[:3])
    (message,) = [record.getMessage() for record in caplog.records]
    assert "the model lacks sadness, surprise, fear, disgust (score 0), the task lacks sad (left out)" in message
    caplog.clear()
    mood = new_task("mood", {"prompt": "?", "labels": ["SAD", " Ang", "neu", "hap"]})
    check(checkpoints / "classifier", task=("mood",), new_tasks=(mood,))
    assert not caplog.records


def test_a_task_that_takes_the_models_labels_gets_their_mapped_names(checkpoints):
    own = new_task("own", {"labels": "checkpoint"})
    (plain,) = check(checkpoints / "classifier", task=("own",), new_tasks=(own,))
    assert plain.labels == tuple(SUPERB)
    renamed = ("own.neu=calm", "own.sad=calm", "own.hap=joy")
    (mapped,) = check(checkpoints / "classifier", task=("own",), new_tasks=(own,), label_map=renamed)
    assert mapped.labels == ("calm", "joy", "ang")


def test_a_task_that_takes_the_models_labels_needs_a_classifier(checkpoints):
    own = new_task("own", {"labels": "checkpoint"})
    with pytest.raises(JobError, match="for own name another model"):
        check(checkpoints / "ctc", task=("own",), new_tasks=(own,))


def test_adapters_are_part_of_a_checkpoints_identity(folder):
    def identity():
        checkpoint = find_checkpoint(str(folder / "mms"))
        assert isinstance(checkpoint, Checkpoint)
        return checkpoint.identity

    before = identity()
    (folder / "mms" / "adapter.fra.safetensors").write_bytes((folder / "mms" / "adapter.eng.safetensors").read_bytes())
    assert identity() != before
    assert json.loads((folder / "mms" / "vocab.json").read_text()).keys() == {"eng", "fra"}


def test_labels_match_whatever_their_case_and_spaces_and_the_map_takes_precedence():
    task = Task("mood", "", None, "", "label", labels=("Calm", "joy"), label_map=(("neu", "calm"), ("JOY", "Calm ")))
    assert match_labels(task, (" NEU", "Joy", "happy", "CALM ")) == ((0, 1, 3), ())
    assert match_labels(Task("mood", "", None, "", "label", labels=("Calm", "joy")), ("JOY ", "calm")) == ((1,), (0,))
