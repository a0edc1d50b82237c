"""Base checkpoints of Qwen2-Audio and Instruct ones are told apart by what they ship."""

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


def test_the_kinds_are_told_apart(base, tmp_path):
    assert not is_instruct(base)
    assert is_instruct(write_checkpoint(tmp_path / "chat"))


def test_a_template_that_transformers_made_up_does_not_make_an_instruct_checkpoint(base):
    AutoProcessor.from_pretrained(base).save_pretrained(base)
    assert "audio" in (base / "chat_template.jinja").read_text()
    assert not is_instruct(base)


@pytest.mark.parametrize("name", ["chat_template.json", "processor_config.json", "preprocessor_config.json"])
def test_where_no_end_is_named_a_template_that_mentions_audio_tells(base, name):
    (base / "generation_config.json").unlink()
    content = json.loads((base / name).read_text()) if (base / name).exists() else {}
    (base / name).write_text(json.dumps(content | {"chat_template": "{{ messages }}"}))
    assert not is_instruct(base)
    (base / name).write_text(json.dumps(content | {"chat_template": CHAT_TEMPLATE}))
    assert is_instruct(base)


def test_so_does_a_template_in_a_file_of_its_own(base):
    (base / "generation_config.json").unlink()
    (base / "chat_template.jinja").write_text("{{ messages }}")
    assert not is_instruct(base)
    (base / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    assert is_instruct(base)


@pytest.mark.parametrize("in_a_list", [True, False])
@pytest.mark.parametrize("place", ["tokenizer.json", "added_tokens.json", "tokenizer_config.json"])
def test_the_end_of_a_turn_makes_an_instruct_checkpoint(base, place, in_a_list):
    tokens = json.loads((base / "tokenizer.json").read_text())["added_tokens"]
    (end,) = (token["id"] for token in tokens if token["content"] == "<|im_end|>")
    if place != "tokenizer.json":
        (base / "tokenizer.json").unlink()
        (base / "vocab.json").write_text("{}")
    if place == "added_tokens.json":
        (base / place).write_text(json.dumps({"<|im_end|>": end}))
    if place == "tokenizer_config.json":
        edit_json(base / place, added_tokens_decoder={str(end): {"content": "<|im_end|>"}})
    assert not is_instruct(base)
    edit_json(base / "generation_config.json", eos_token_id=[end + 1, end] if in_a_list else end)
    assert is_instruct(base)


def test_without_anything_that_tells_it_is_a_base_checkpoint(base):
    (base / "generation_config.json").unlink()
    assert not is_instruct(base)
    (base / "tokenizer.json").unlink()  # no end of an answer is known, and no end of a turn
    assert not is_instruct(base)


def test_a_file_that_should_tell_and_is_broken_is_named(base):
    (base / "generation_config.json").write_text("{")
    with pytest.raises(JobError, match=r"generation_config\.json is not JSON"):
        is_instruct(base)
