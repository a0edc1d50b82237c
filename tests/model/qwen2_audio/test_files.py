"""Broken checkpoints are refused before weights are loaded: small ones of the published format, each with one fault."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2AudioForConditionalGeneration

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.qwen2_audio.files import check_qwen2_audio
from earmark.schemas.errors import JobError
from tests.support.checkpoints.small_qwen2_audio import edit_json, write_checkpoint


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Checkpoints of each kind that no test changes."""
    folder = tmp_path_factory.mktemp("originals")
    write_checkpoint(folder / "chat", hidden=16, layers=1, audio_hidden=16, audio_layers=1)
    write_checkpoint(folder / "base", chat=False, hidden=16, layers=1, audio_hidden=16, audio_layers=1)
    write_checkpoint(folder / "shards", hidden=16, layers=1, audio_hidden=16, audio_layers=1, shard_size=40_000)
    return folder


@pytest.fixture
def chat(originals, tmp_path):
    return Path(shutil.copytree(originals / "chat", tmp_path / "chat"))


@pytest.fixture
def shards(originals, tmp_path):
    return Path(shutil.copytree(originals / "shards", tmp_path / "shards"))


def check(folder):
    check_qwen2_audio(Checkpoint("mine", str(folder), ""))


def refused(folder):
    with pytest.raises(JobError) as caught:
        check(folder)
    assert str(caught.value).startswith("model mine cannot be run: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", {"format": "pt"})


@pytest.mark.model
@pytest.mark.parametrize("kind", ["chat", "base", "shards"])
def test_whole_checkpoints_pass(originals, kind):
    check(originals / kind)


def loads_fully(folder):
    _, report = Qwen2AudioForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    return not any(report.values())


@pytest.mark.model
@pytest.mark.parametrize("spelling", ["published", "of transformers 5"])
def test_tensors_pass_under_their_old_names_and_their_new_ones(chat, originals, spelling):
    new = Qwen2AudioForConditionalGeneration.from_pretrained(originals / "chat").state_dict()
    old = load_file(originals / "chat" / "model.safetensors")
    assert "language_model.model.norm.weight" in old  # as Qwen/Qwen2-Audio-7B has it
    assert "model.language_model.norm.weight" in new
    edit_weights(chat, lambda _: old if spelling == "published" else {name: part.clone() for name, part in new.items()})
    check(chat)
    assert loads_fully(chat)


@pytest.mark.model
def test_a_checkpoint_in_half_precision_passes(chat):
    edit_weights(chat, lambda weights: {name: part.half() for name, part in weights.items()})
    check(chat)


@pytest.mark.model
def test_a_feature_extractor_in_a_file_of_its_own_passes(chat):
    extractor = json.loads((chat / "processor_config.json").read_text())["feature_extractor"]
    (chat / "preprocessor_config.json").write_text(json.dumps(extractor))
    (chat / "processor_config.json").unlink()
    check(chat)


@pytest.mark.model
def test_a_tokenizer_in_two_files_passes(chat):
    tokenizer = json.loads((chat / "tokenizer.json").read_text())
    end, *marks = tokenizer["added_tokens"]
    (chat / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"] | {end["content"]: end["id"]}))
    (chat / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in tokenizer["model"]["merges"]))
    added = {str(token["id"]): {"content": token["content"]} for token in marks}
    edit_json(chat / "tokenizer_config.json", added_tokens_decoder=added)
    (chat / "tokenizer.json").unlink()
    check(chat)
    (chat / "merges.txt").unlink()
    assert "merges.txt missing" in refused(chat)


@pytest.mark.model
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen2"}, "config.json says model_type 'qwen2', not 'qwen2_audio'"),
        ({"model_type": None}, "config.json says model_type None"),
        (
            {"architectures": ["Other"]},
            "its architecture in config.json is Other, which does another task than Qwen2AudioForCond",
        ),
        ({"quantization_config": {"bits": 4}}, "it is quantized"),
        ({"text_config.model_type": "llama"}, "model_type 'llama' in text_config, not 'qwen2'"),
        ({"audio_config.model_type": "whisper"}, "model_type 'whisper' in audio_config"),
        ({"audio_config.num_mel_bins": 80}, "its processor makes 128 mel bands, but config.json has an encoder for 80"),
        ({"audio_token_index": 1}, "config.json says audio_token_index 1, but <|AUDIO|> is 4"),
        ({"audio_config.encoder_layers": 2}, "15 of 54 tensors are in none of the weight files"),
        ({"text_config.vocab_size": 999}, "2 of 39 tensors have not the shape that config.json calls for (lm_head.wei"),
        ({"text_config.hidden_size": "wide"}, "no network can be built from config.json"),
        ({"audio_config.encoder_attention_heads": 5}, "no network can be built from config.json"),
        ({"text_config.hidden_act": "mystery"}, "no network can be built from config.json"),
        ({"audio_config": 5}, "audio_config is 5, not a JSON object"),
        ({"text_config.vocab_size": -1}, "no network can be built from config.json"),
    ],
)
def test_a_config_of_another_model_is_refused(chat, changes, message):
    edit_json(chat / "config.json", **changes)
    assert message in refused(chat)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_extractor": None}, "describes a feature extractor"),
        ({"feature_extractor.feature_extractor_type": "ClapFeatureExtractor"}, "'ClapFeatureExtractor', not 'Whisper"),
        ({"feature_extractor.sampling_rate": 8000}, "sampling_rate 8000, not 16000"),
    ],
)
def test_a_processor_for_other_audio_is_refused(chat, changes, message):
    edit_json(chat / "processor_config.json", **changes)
    assert message in refused(chat)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "there is no config.json in"),
        ("processor_config.json", "neither preprocessor_config.json nor processor_config.json"),
        ("tokenizer.json", "vocab.json, merges.txt missing in"),
        ("tokenizer_config.json", "tokenizer_config.json missing in"),
        ("model.safetensors", "neither model.safetensors nor model.safetensors.index.json (pickles"),
    ],
)
def test_a_missing_file_is_named(chat, name, message):
    (chat / name).unlink()
    assert message in refused(chat)


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_broken_file_is_named(chat, name, content):
    (chat / name).write_bytes(content)
    assert f"{chat / name} is not" in refused(chat)


@pytest.mark.parametrize("token", ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|im_end|>", "<|endoftext|>"])
def test_a_tokenizer_that_lacks_a_mark_is_refused(chat, token):
    text = (chat / "tokenizer.json").read_text()
    (chat / "tokenizer.json").write_text(text.replace(token, "<|other|>"))
    assert f"its tokenizer lacks {token};" in refused(chat)


@pytest.mark.parametrize("listed", [5, [5], [{"content": "<|AUDIO|>"}], [{"content": [], "id": 1}]])
def test_a_tokenizer_that_lists_no_tokens_is_refused(chat, listed):
    edit_json(chat / "tokenizer.json", added_tokens=listed)
    assert f"the tokenizer's files in {chat} do not list tokens" in refused(chat)


def test_pickles_are_not_loaded(chat):
    torch.save(load_file(chat / "model.safetensors"), chat / "pytorch_model.bin")
    (chat / "model.safetensors").unlink()
    assert "pytorch_model.bin may hold code and is not loaded; convert it to safetensors" in refused(chat)


def test_a_missing_shard_is_named(shards):
    shard = sorted(shards.glob("model-*.safetensors"))[0]
    shard.unlink()
    assert f"weight files that model.safetensors.index.json names are missing in {shards} ({shard.name})" in refused(
        shards
    )


def test_an_index_that_names_something_else_is_refused(shards):
    edit_json(shards / "model.safetensors.index.json", weight_map={"lm_head.weight": ["a", "list"]})
    assert "1 of 1 weight files that model.safetensors.index.json names are missing" in refused(shards)


@pytest.mark.model
def test_an_index_that_names_nothing_is_refused(shards):
    (shards / "model.safetensors.index.json").write_text("{}")
    assert "39 of 39 tensors are in none of the weight files" in refused(shards)


@pytest.mark.model
def test_a_missing_tensor_is_named_beside_those_of_the_files(chat):
    lacking = {"multi_modal_projector.linear.bias", "language_model.lm_head.weight"}
    edit_weights(chat, lambda weights: {name: part for name, part in weights.items() if name not in lacking})
    message = refused(chat)
    assert "2 of 39 tensors are in none of the weight files" in message
    assert "(model.multi_modal_projector.linear.bias, lm_head.weight)" in message
    assert "the files hold 37 (audio_tower.conv1.bias, " in message


@pytest.mark.model
def test_a_tensor_of_another_shape_is_named(chat):
    name = "multi_modal_projector.linear.weight"
    edit_weights(chat, lambda weights: {**weights, name: weights[name][:, :-1].contiguous()})
    assert "(model.multi_modal_projector.linear.weight is [16, 15], not [16, 16])" in refused(chat)


@pytest.mark.model
def test_numbers_of_a_quantized_checkpoint_are_refused(chat):
    name = "multi_modal_projector.linear.weight"
    edit_weights(chat, lambda weights: {**weights, name: weights[name].to(torch.int8)})
    assert "(model.multi_modal_projector.linear.weight is I8)" in refused(chat)


@pytest.mark.parametrize("size", [0, 5, 200, -1])
def test_a_file_that_is_cut_short_is_refused(chat, size):
    path = chat / "model.safetensors"
    size_bytes = path.stat().st_size
    os.truncate(path, size % size_bytes)
    message = refused(chat)
    assert f"{path} is not a whole safetensors file" in message
    assert f"at {size % size_bytes:,} bytes" in message


def test_a_file_with_something_behind_its_end_is_refused(chat):
    with open(chat / "model.safetensors", "ab") as file:
        file.write(b"more")
    assert "is not a whole safetensors file" in refused(chat)


def test_a_pointer_of_git_lfs_is_named_in_the_message(chat):
    (chat / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n")
    assert "only Git LFS's pointer" in refused(chat)
