"""Base and Instruct checkpoints of Qwen2-Audio are distinguished by their files."""

import json

import pytest
from transformers import AutoProcessor

from earmark.model.qwen2_audio.files import is_instruct
from earmark.schemas.errors import JobError
from tests.support.checkpoints.small_qwen2_audio import CHAT_TEMPLATE, edit_json, write_checkpoint

pytestmark = pytest.mark.model


@pytest.fixture
def base(tmp_path):
    return write_checkpoint(tmp_path / "base", chat=False)


def test_base_and_instruct_checkpoints_are_distinguished(base, tmp_path):
    assert not is_instruct(base)
    assert is_instruct(write_checkpoint(tmp_path / "chat"))


def test_a_template_that_transformers_made_up_does_not_make_an_instruct_checkpoint(base):
    AutoProcessor.from_pretrained(base).save_pretrained(base)
    assert "audio" in (base / "chat_template.jinja").read_text()
    assert not is_instruct(base)


@pytest.mark.parametrize("name", ["chat_template.json", "processor_config.json", "preprocessor_config.json"])
def test_without_a_named_end_token_a_template_with_audio_makes_an_instruct_checkpoint(base, name):
    (base / "generation_config.json").unlink()
    content = json.loads((base / name).read_text()) if (base / name).exists() else {}
    (base / name).write_text(json.dumps(content | {"chat_template": "{{ messages }}"}))
    assert not is_instruct(base)
    (base / name).write_text(json.dumps(content | {"chat_template": CHAT_TEMPLATE}))
    assert is_instruct(base)


def test_a_template_in_its_own_file_makes_an_instruct_checkpoint(base):
    (base / "generation_config.json").unlink()
    (base / "chat_template.jinja").write_text("{{ messages }}")
    assert not is_instruct(base)
    (base / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    assert is_instruct(base)


@pytest.mark.parametrize("in_a_list", [True, False])
@pytest.mark.parametrize("file", ["tokenizer.json", "added_tokens.json", "tokenizer_config.json"])
def test_the_end_of_a_turn_makes_an_instruct_checkpoint(base, file, in_a_list):
    tokens = json.loads((base / "tokenizer.json").read_text())["added_tokens"]
    (end,) = (token["id"] for token in tokens if token["content"] == "<|im_end|>")
    if file != "tokenizer.json":
        (base / "tokenizer.json").unlink()
        (base / "vocab.json").write_text("{}")
    if file == "added_tokens.json":
        (base / file).write_text(json.dumps({"<|im_end|>": end}))
    if file == "tokenizer_config.json":
        edit_json(base / file, added_tokens_decoder={str(end): {"content": "<|im_end|>"}})
    assert not is_instruct(base)
    edit_json(base / "generation_config.json", eos_token_id=[end + 1, end] if in_a_list else end)
    assert is_instruct(base)


def test_without_any_sign_of_chat_it_is_a_base_checkpoint(base):
    (base / "generation_config.json").unlink()
    assert not is_instruct(base)
    (base / "tokenizer.json").unlink()  # no end of an answer is known, and no end of a turn
    assert not is_instruct(base)


def test_a_broken_file_that_decides_the_kind_is_named(base):
    (base / "generation_config.json").write_text("{")
    with pytest.raises(JobError, match=r"generation_config\.json is not JSON"):
        is_instruct(base)
