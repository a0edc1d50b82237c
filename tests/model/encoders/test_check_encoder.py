"""What is wrong with a CTC model or an audio classifier is said before any work."""

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

SUPERB = ["neu", "hap", "ang", "sad"]
MAP = ("emotion.neu=neutral", "emotion.HAP = joy".replace(" ", ""), "emotion.ang=anger", "emotion.sad=sadness")


def check(folder, **options):
    asked = JobOptions(device="cpu", **options)
    asked.check_tasks()
    return check_source(find_checkpoint(str(folder)), asked, asked.tasks(), here=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a checkpoint of each kind."""
    root = tmp_path_factory.mktemp("checkpoints")
    write_ctc(root / "ctc")
    write_mms(root / "mms", eng="ABC", fra="abcd")
    write_classifier(root / "classifier", SUPERB)
    return root


@pytest.fixture
def folder(written, tmp_path):
    """The same to be spoilt."""
    return Path(shutil.copytree(written, tmp_path / "copies"))


def test_whole_checkpoints_pass_as_what_they_are(written):
    (transcribe,) = check(written / "ctc")
    assert transcribe.name == "transcribe"
    assert check(written / "mms", language="fr")
    (emotion,) = check(written / "classifier", task=("emotion",), label_map=MAP)
    assert emotion.label_map == (("neu", "neutral"), ("HAP", "joy"), ("ang", "anger"), ("sad", "sadness"))
    for name, about in (("ctc", "CTC models"), ("mms", "CTC models"), ("classifier", "audio classifiers")):
        assert find_family(find_checkpoint(str(written / name))).about.startswith(about)


def test_only_ctc_models_time_phrases(written):
    timed, greedy = JobOptions(timestamps=True), JobOptions(beam_size=5)
    check_options([find_checkpoint(str(written / "ctc"))], timed)
    with pytest.raises(JobError, match="--timestamps does not work"):
        check_options([find_checkpoint(str(written / "classifier"))], timed)
    with pytest.raises(JobError, match="--beam_size=5 does not work"):
        check_options([find_checkpoint(str(written / "ctc"))], greedy)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("ctc", {"task": ("caption",)}, "is a CTC model, which transcribes; for caption name another model"),
        ("ctc", {"task": ("transcribe", "translate")}, "for translate name another model"),
        ("classifier", {}, r"is a classifier \(Wav2Vec2ForSequenceClassification\), .*; for transcribe name another"),
        ("classifier", {"task": ("emotion",), "free_labels": True}, "--free_labels does not work: .* writes no text"),
        ("mms", {"language": "tlh"}, "--language=tlh does not work: .*no language 'tlh'; it has adapters for eng, fra"),
        ("ctc", {"compute_type": "int8"}, "--compute_type=int8 is not supported by cpu"),
    ],
)
def test_what_a_model_cannot_do_is_refused(written, model, options, words):
    with pytest.raises(JobError, match=words):
        check(written / model, **options)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vocab.json", "vocab.json missing in .*get the whole checkpoint"),
        ("preprocessor_config.json", "cannot be run: .*preprocessor_config.json"),
        ("model.safetensors", "there are no weights in .*neither model.safetensors nor model.safetensors.index.json"),
    ],
)
def test_a_missing_file_is_named(folder, name, words):
    (folder / "ctc" / name).unlink()
    with pytest.raises(JobError, match=words):
        check(folder / "ctc")


def test_adapters_that_are_missing_are_named(folder):
    (folder / "mms" / "adapter.fra.safetensors").unlink()
    assert check(folder / "mms", language="en")
    with pytest.raises(JobError, match=r"--language=fr does not work: .* adapters for eng"):
        check(folder / "mms", language="fr")
    (folder / "mms" / "adapter.eng.safetensors").unlink()
    with pytest.raises(
        JobError, match=r"by language \(eng, fra\), but no adapter\.\*\.safetensors is in .*; get those"
    ):
        check(folder / "mms")


def test_a_checkpoint_that_has_not_learned_to_write_is_refused(tmp_path):
    Wav2Vec2ForPreTraining(Wav2Vec2Config(**SMALL, codevector_dim=32, proj_codevector_dim=32)).save_pretrained(tmp_path)
    words = "is Wav2Vec2ForPreTraining, which has not learned to write text: name a checkpoint .*ForCTC"
    with pytest.raises(JobError, match=words):
        check(tmp_path)
    edit_json(tmp_path / "config.json", architectures=None)
    with pytest.raises(JobError, match=r"of an architecture that config\.json does not name, which has not learned"):
        check(tmp_path)


def test_a_head_that_was_never_trained_is_refused(folder):
    weights = folder / "ctc" / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(weights).items() if "lm_head" not in name}, weights)
    with pytest.raises(
        JobError, match=r"2 of \d+ tensors are in none .*lm_head\.bias.*; get .*, or name one that was trained for this"
    ):
        check(folder / "ctc")


def test_weights_that_are_not_whole_are_no_model(folder):
    weights = folder / "ctc" / "model.safetensors"
    save_file(
        {name: tensor for name, tensor in load_file(weights).items() if "layers.1" not in name},
        weights,
        {"format": "pt"},
    )
    words = r"the weight files .*layers\.1"
    with pytest.raises(JobError, match=words):
        check(folder / "ctc")
    with pytest.raises(JobError, match=words):
        open_source(find_checkpoint(str(folder / "ctc")), JobOptions(device="cpu"))


def test_audio_of_another_rate_is_refused(folder):
    edit_json(folder / "classifier" / "preprocessor_config.json", sampling_rate=8000)
    with pytest.raises(JobError, match="its processor has sampling_rate 8000, not 16000"):
        check(folder / "classifier", task=("emotion",), label_map=MAP)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem_type": "regression"}, "measures a number .*'regression'.*; name a classifier"),
        ({"id2label": {"0": "arousal"}, "label2id": {"arousal": 0}}, "has 1 labels"),
    ],
)
def test_a_regression_is_no_classifier(folder, changes, words):
    edit_json(folder / "classifier" / "config.json", **changes)
    with pytest.raises(JobError, match=words):
        check(folder / "classifier", task=("emotion",))


@pytest.mark.parametrize("named", [{"a": "neu", "b": "hap"}, ["neu", "hap"], "neu"])
def test_labels_that_are_not_named_by_number_are_refused(folder, named):
    edit_json(folder / "classifier" / "config.json", id2label=named)
    with pytest.raises(JobError, match=r"config\.json names no labels by number in id2label; get the file as it was"):
        check(folder / "classifier", task=("emotion",))


def test_labels_that_share_nothing_are_refused_with_both_lists_and_what_to_do(written):
    words = (
        "task vocal_sound has the labels Laughter, .*, model .* has neu, hap, ang, sad, and none is the same; say which"
        r" stands for which \(--label_map vocal_sound\.neu=Laughter,…\), or name another model"
    )
    with pytest.raises(JobError, match=words):
        check(written / "classifier", task=("vocal_sound",))


def test_a_map_of_labels_that_the_model_does_not_have_is_refused(written):
    with pytest.raises(JobError, match=r"--label_map=emotion\.happy=… does not work: model .* has the labels neu, hap"):
        check(written / "classifier", task=("emotion",), label_map=("emotion.happy=joy", *MAP))


def test_labels_without_a_counterpart_are_named_once(written, caplog):
    with caplog.at_level(logging.WARNING, "earmark"):
        check(written / "classifier", task=("emotion",), label_map=MAP[:3])
    (message,) = [record.getMessage() for record in caplog.records]
    assert "does not know sadness, surprise, fear, disgust (score 0), the task does not know sad (left out)" in message
    caplog.clear()
    mood = new_task("mood", {"prompt": "?", "labels": ["SAD", " Ang", "neu", "hap"]})
    check(written / "classifier", task=("mood",), new_tasks=(mood,))
    assert not caplog.records


def test_labels_of_the_model_are_put_in_by_their_mapped_names(written):
    own = new_task("own", {"labels": "checkpoint"})
    (plain,) = check(written / "classifier", task=("own",), new_tasks=(own,))
    assert plain.labels == tuple(SUPERB)
    renamed = ("own.neu=calm", "own.sad=calm", "own.hap=joy")
    (mapped,) = check(written / "classifier", task=("own",), new_tasks=(own,), label_map=renamed)
    assert mapped.labels == ("calm", "joy", "ang")


def test_labels_of_the_model_cannot_be_asked_of_a_model_that_is_asked_in_words(written):
    own = new_task("own", {"labels": "checkpoint"})
    with pytest.raises(JobError, match="for own name another model"):
        check(written / "ctc", task=("own",), new_tasks=(own,))


def test_adapters_are_part_of_what_names_a_checkpoint(folder):
    def identity():
        found = find_checkpoint(str(folder / "mms"))
        assert isinstance(found, Checkpoint)
        return found.identity

    before = identity()
    (folder / "mms" / "adapter.fra.safetensors").write_bytes((folder / "mms" / "adapter.eng.safetensors").read_bytes())
    assert identity() != before
    assert json.loads((folder / "mms" / "vocab.json").read_text()).keys() == {"eng", "fra"}


def test_case_and_space_of_labels_do_not_count_and_the_map_goes_before_the_name():
    task = Task("mood", "", None, "", "label", labels=("Calm", "joy"), label_map=(("neu", "calm"), ("JOY", "Calm ")))
    assert match_labels(task, (" NEU", "Joy", "happy", "CALM ")) == ((0, 1, 3), ())
    assert match_labels(Task("mood", "", None, "", "label", labels=("Calm", "joy")), ("JOY ", "calm")) == ((1,), (0,))
