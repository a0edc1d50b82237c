"""Folders of ONNX files that sherpa-onnx does not run, or would end the process on: each is refused before the run."""

import importlib.machinery
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.sherpa_onnx.engine import _choose_device
from earmark.model.source import check_options, check_source, open_source
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Segment
from tests.support.checkpoints.small_onnx_models import write_models

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


def check(folder, **options):
    job = JobOptions(**options)
    check_source(find_checkpoint(str(folder)), job, job.tasks(), here=True)


@pytest.fixture
def broken(folders, tmp_path):
    """A copy of a model, with other metadata (None for none) or another tokens.txt."""

    def make(kind, tokens=None, **metadata):
        folder = Path(shutil.copytree(folders[kind], tmp_path / "model"))
        if tokens is not None:
            (folder / "tokens.txt").write_text(tokens)
        model = onnx.load(folder / "model.onnx")
        kept = {pair.key: pair.value for pair in model.metadata_props} | metadata
        del model.metadata_props[:]
        for key, value in kept.items():
            if value is not None:
                model.metadata_props.add(key=key, value=value)
        onnx.save(model, folder / "model.onnx")
        return folder

    return make


def test_a_model_of_an_unknown_kind_is_refused(broken, tmp_path):
    folder = broken("paraformer", model_type="vits")
    with pytest.raises(JobError, match=r"model\.onnx is a model of type 'vits'; earmark runs Paraformer, SenseVoice"):
        check(folder)
    (folder / "tokens.txt").unlink()
    with pytest.raises(JobError, match=r"tokens\.txt is missing beside the ONNX files in"):
        check(folder)
    (folder / "tokens.txt").touch()
    (folder / "model.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(JobError, match=r"model\.onnx cannot be read \(.*\); fetch it again, whole") as refused:
        check(folder)
    assert "\n" not in str(refused.value)
    (folder / "model.onnx").rename(folder / "model-steps.onnx")
    with pytest.raises(JobError, match=r"there is no model\*\.onnx in .*; there are model-steps\.onnx"):
        check(folder)


def test_a_model_without_metadata_is_refused(broken):
    with pytest.raises(JobError, match=r"model\.onnx has no model_type in its metadata; earmark runs"):
        check(broken("paraformer", model_type=None))


def test_two_models_in_a_folder_are_refused(folders, tmp_path):
    folder = Path(shutil.copytree(folders["zipformer_transducer"], tmp_path / "model"))
    shutil.copy(folder / "decoder-epoch-9-avg-1.onnx", folder / "decoder-epoch-8-avg-1.onnx")
    with pytest.raises(JobError, match=r"several of one kind \(decoder-epoch-8-avg-1\.onnx, decoder-epoch-9"):
        check(folder)


@pytest.mark.process
@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "paraformer",
            {"vocab_size": None},
            r"cannot run it \(.*'vocab_size' does not exist in the metadata\); take the",
        ),
        ("paraformer", {"lfr_window_size": "4"}, r"cannot run it \(.*; take the model as published"),
        ("zipformer_ctc", {"tokens": "a 0\nb 1\n"}, r"cannot run it \(.*tokens\.txt contains .*<blk>"),
        ("zipformer_ctc", {"tokens": "a b c d\n"}, r"cannot run it \(.*a b c d"),
    ],
)
def test_a_model_that_would_end_the_process_is_refused_before_the_run(broken, kind, changes, message):
    with pytest.raises(JobError, match=message) as refused:
        check(broken(kind, **changes))
    assert "\n" not in str(refused.value)


def test_the_tokens_of_another_model_are_refused(broken):
    with pytest.raises(JobError, match=r"tokens\.txt has 3 tokens, the model 15; replace it with the file that"):
        check(broken("paraformer", tokens="<blank> 0\n<s> 1\n</s> 2\n"))


@pytest.mark.parametrize(("devices", "chosen"), [(0, "cpu"), (1, "cuda")])
def test_a_wheel_for_cuda_is_distinguished_from_one_for_the_cpu(tmp_path, monkeypatch, devices, chosen):
    """By the library that it brings; the wheel itself is in no package index."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libonnxruntime_providers_cuda.so").touch()
    spec = importlib.machinery.ModuleSpec("sherpa_onnx", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    assert _choose_device(JobOptions()) == chosen
    assert _choose_device(JobOptions(device="cpu")) == "cpu"


def test_what_it_does_not_do_is_refused(folders, monkeypatch):
    checkpoint, job = find_checkpoint(str(folders["paraformer"])), JobOptions(task=("transcribe", "caption"))
    with pytest.raises(JobError, match="is Paraformer in ONNX, which transcribes; for caption name another model"):
        check_source(checkpoint, job, job.tasks(), here=True)
    with pytest.raises(JobError, match=r"--beam_size=3 does not work"):
        check_options([checkpoint], JobOptions(beam_size=3))
    check_options([checkpoint], JobOptions(timestamps=True))
    job = JobOptions(device="cuda")
    with pytest.raises(
        JobError, match="--device=cuda does not work: this sherpa-onnx is built for the CPU alone; use --device=cpu"
    ):
        check_source(checkpoint, job, job.tasks(), here=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JobError, match=r"runs on sherpa-onnx: pip install 'earmark\[sherpa\]'"):
        check_source(checkpoint, JobOptions(), JobOptions().tasks(), here=True)


def test_a_token_that_is_missing_stops_the_job(broken):
    """Where the model does not say how many it has, that is seen when it writes one of those."""
    checkpoint = find_checkpoint(str(broken("zipformer_ctc", tokens="<blk> 0\n")))
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
    facts = AudioFacts(1.0, SAMPLE_RATE_HZ, 1, "flac", 0.0, 0.0, 0.0)
    clip = Clip(Recording(id="x", uri="x"), noise, facts, (Segment(0, len(noise), len(noise)),))
    engine = open_source(checkpoint, JobOptions(device="cpu"))
    with pytest.raises(JobError, match=r"returned a token that its tokens\.txt lacks; replace it with the file"):
        engine.annotate([clip], JobOptions().tasks())


def test_numbers_that_are_not_there_are_refused(folders):
    folder = folders["zipformer_transducer"]
    with pytest.raises(
        JobError, match=r"there is no encoder\*\.onnx in float16 .*; there are decoder-epoch-9-avg-1\.onnx"
    ):
        check(folder, compute_type="float16")
    with pytest.raises(
        JobError,
        match="bfloat16 is not supported by sherpa-onnx here: choose from float16, float32, int8",
    ):
        check(folder, compute_type="bfloat16")
