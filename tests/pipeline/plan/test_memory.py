"""The memory that a plan expects models and shards to need."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from earmark.model.checkpoints.size import ModelSize, model_size
from earmark.pipeline.plan.memory import MachineDevice, memory_needs
from earmark.pipeline.plan.models import PlannedModel
from earmark.pipeline.plan.tables import Device, read_tables
from earmark.schemas.job import JobOptions
from tests.support.jobs import TINY

# 8.4 billion parameters, half a megabyte of keys and values a token in 16 bits (README.md, Models).
SEVEN_B = ModelSize("qwen2_audio", 8_400_000_000, cache_values=2 * 32 * 32 * 128)
CAPTIONS = PlannedModel("org/7b", ("caption",), SEVEN_B, "")
GPU = MachineDevice("NVIDIA Card", "cuda", 24.0)


def needs(*models, here, known=[], **options):  # noqa: B006
    return memory_needs(models, JobOptions(**options), here, known)


def test_memory_of_weights_and_a_batch_is_as_in_the_readme():
    (need,) = needs(CAPTIONS, here=[GPU])
    assert need.weights_gb == pytest.approx(16.8)
    assert need.working_gb == pytest.approx(2 * 2**19 * 240 / 0.04 / 1e9)
    assert (need.fits, need.here) == (False, True)
    assert needs(CAPTIONS, here=[GPU], batch_s=60.0)[0].fits is True
    assert needs(CAPTIONS, here=[MachineDevice("NVIDIA Card", "cuda", 32.0)])[0].fits is True


def test_the_largest_batch_that_fits_is_named():
    (need,) = needs(CAPTIONS, here=[GPU])
    assert need.batch_s is not None
    assert needs(CAPTIONS, here=[GPU], batch_s=need.batch_s)[0].fits is True
    assert needs(CAPTIONS, here=[GPU], batch_s=need.batch_s + 1)[0].fits is False
    (small,) = needs(CAPTIONS, here=[MachineDevice("NVIDIA Card", "cuda", 16.0)])
    assert (small.fits, small.batch_s) == (False, None)


def test_weights_are_held_in_the_compute_type_of_the_device():
    (here,) = needs(CAPTIONS, here=[MachineDevice("CPU", "cpu", 64.0, 8)])
    assert here.weights_gb == pytest.approx(33.6), "float32 on a CPU"
    assert needs(CAPTIONS, here=[GPU], compute_type="float32")[0].weights_gb == pytest.approx(33.6)
    size = ModelSize("whisper-ctranslate2", 1_000_000_000)
    assert size.compute_type(JobOptions(), "cuda") == "float16"
    whisper = PlannedModel("w", ("transcribe",), size, "")
    assert needs(whisper, here=[GPU], compute_type="int8")[0].weights_gb == pytest.approx(1.0)


def test_several_models_share_a_device_and_unknown_memory_is_named():
    whisper = PlannedModel("w", ("transcribe",), ModelSize("whisper-ctranslate2", 1_000_000_000), "")
    (need,) = needs(CAPTIONS, whisper, here=[MachineDevice("NVIDIA Card", "cuda", 80.0)])
    assert need.weights_gb == pytest.approx(18.8)
    assert (need.fits, need.unknown) == (None, ("w: what a batch needs beside the weights",))
    unknown = PlannedModel("hub/none", ("emotion",), None, "", "not here")
    assert needs(CAPTIONS, unknown, here=[GPU])[0].unknown == ("hub/none: not here",)
    served = PlannedModel("http://h", ("emotion",), None, "", "a server has it", elsewhere=True)
    assert needs(CAPTIONS, served, here=[GPU])[0].unknown == ()
    assert needs(served, here=[GPU]) == ()


def test_a_device_of_the_table_that_is_here_is_listed_once():
    card = Device("Card", "cuda", "NVIDIA Card", 24)
    all_needs = needs(CAPTIONS, here=[GPU], known=[card, Device("Other", "cuda", "NVIDIA Other", 80)])
    assert [(need.device, need.here) for need in all_needs] == [("NVIDIA Card", True), ("Other", False)]


def test_the_7b_model_of_the_table_is_as_in_the_readme():
    (seven,) = [model for model in read_tables().speed_table.models if model.name == "Qwen2-Audio 7B"]
    assert round(seven.parameters_m / 1000, 1) == 8.4
    assert seven.cache_values * 2 == 2**19, "half a megabyte a token in 16 bits"


def test_the_size_of_a_checkpoint_is_that_of_its_tensors():
    size = model_size(TINY)
    assert (size.family, size.parameters, size.cache_values) == ("qwen2_audio", 1_732_224, 2 * 3 * 4 * 32)


def test_shards_of_weights_add_up(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    for number, name in enumerate(("a", "b"), 1):
        save_file({name: np.zeros((number, 10), np.float32)}, tmp_path / f"model-0000{number}-of-00002.safetensors")
    weights = {name: f"model-0000{number}-of-00002.safetensors" for number, name in enumerate(("a", "b"), 1)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    assert model_size(tmp_path) == ModelSize("wav2vec2", 30, model_size(tmp_path).file_bytes)


def test_a_model_bin_that_is_cut_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(struct.pack("<IH3sII", 6, 3, b"ab\0", 1, 2) + b"\x05")
    with pytest.raises(ValueError, match="ends in the middle"):
        model_size(tmp_path)
    (tmp_path / "model.bin").unlink()
    with pytest.raises(ValueError, match="there are no weights"):
        model_size(tmp_path)


def test_files_of_onnx_count_as_they_are(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x" * 1000)
    size = model_size(tmp_path)
    assert (size.family, size.file_bytes) == ("onnx", 1000)
    assert size.weight_bytes(JobOptions(), "cpu") == 1000
    assert size.working_bytes(JobOptions(), "cpu", 240) == 0
