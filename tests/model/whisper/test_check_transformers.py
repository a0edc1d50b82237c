"""Checks of a Whisper checkpoint of transformers, before any work."""

import shutil
from functools import partial

import pytest

from earmark.schemas.errors import JobError
from tests.support.checkpoints.checked_models import check_model
from tests.support.checkpoints.small_qwen2_audio import edit_json
from tests.support.checkpoints.small_whisper import write_small_whisper

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": ("translate",), "translate_to": "zh"}, "--translate_to=zh does not work: .* into English only"),
        ({"task": ("caption",)}, "is Whisper, which transcribes, and translates into English; for caption name"),
        ({"language": "fr"}, "--language=fr does not work: the model does not support the language 'fr'"),
        ({"compute_type": "int8"}, "--compute_type=int8 is not supported by cpu here"),
    ],
)
def test_jobs_that_whisper_does_not_support_are_refused_before_any_work(folder, options, message):
    with pytest.raises(JobError, match=message):
        check_model(folder, **options)


def test_an_english_only_checkpoint_does_not_translate(folder, tmp_path):
    english = shutil.copytree(folder, tmp_path / "english")
    edit_json(english / "generation_config.json", is_multilingual=False, lang_to_id=None, task_to_id=None)
    check_model(english)
    with pytest.raises(JobError, match="an English-only Whisper, which can only transcribe; for trans"):
        check_model(english, task=("translate",))


def other_task(folder):
    edit_json(folder / "config.json", architectures=["WhisperForCausalLM"])


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_short(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-4])


def another_width(folder):
    edit_json(folder / "config.json", d_model=64)


def more_layers(folder):
    edit_json(folder / "config.json", decoder_layers=3)


def other_mels(folder):
    edit_json(folder / "preprocessor_config.json", feature_size=128)


def without(name, folder):
    (folder / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_task, "in config.json is WhisperForCausalLM, which does another task than WhisperForConditionalGen"),
        (pickled, "pytorch_model.bin may hold code and is not loaded; convert it to safetensors"),
        (cut_short, "is not a whole safetensors file"),
        (another_width, "config.json calls for"),
        (more_layers, "tensors are in none of the weight files"),
        (other_mels, "makes 128 mel bands, but config.json has an encoder for 80"),
        (partial(without, "tokenizer.json"), "vocab.json, merges.txt missing"),
        (partial(without, "preprocessor_config.json"), "describes a feature extractor"),
    ],
)
def test_an_incomplete_checkpoint_is_refused(folder, tmp_path, spoil, message):
    spoiled = shutil.copytree(folder, tmp_path / "spoiled")
    spoil(spoiled)
    with pytest.raises(JobError, match=message):
        check_model(spoiled)
