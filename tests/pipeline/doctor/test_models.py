"""`earmark doctor` on models: complete, small enough and available, without fetching any."""

import json
import os
import shutil
import uuid
from pathlib import Path

import pytest

from earmark.model.checkpoints.size import folder_here
from earmark.pipeline.doctor import models as doctor_models
from earmark.pipeline.doctor.machine import Memory
from earmark.pipeline.doctor.models import caches, model
from earmark.pipeline.plan.memory import MachineDevice, memory_needs
from earmark.pipeline.plan.models import planned_models
from earmark.schemas.job import JobOptions
from earmark.transforms.output.store import OutputStore
from tests.support.bare_home import live_in
from tests.support.checkpoints.small_onnx_models import write_paraformer
from tests.support.jobs import TINY
from tests.support.servers.hub_server import serve_hub, use_hub
from tests.support.servers.misbehaving_server import MODEL, misbehaving_server


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    live_in(monkeypatch, tmp_path / "home")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Checkpoints in every format that earmark reads."""
    onnx = tmp_path_factory.mktemp("paraformer")
    write_paraformer(onnx)
    return (TINY, onnx, folder_here("whisper-tiny.en"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_doctor_and_plan_name_the_same_bytes(folders, device, monkeypatch):
    for folder in folders:
        (planned,) = memory_needs(
            planned_models(JobOptions(model=(str(folder),)), ()),
            JobOptions(),
            [MachineDevice("this one", device, 1000.0)],
            (),
        )
        needed = round(planned.weights_gb * 1e9)
        assert needed > 0
        for total, free, status in (
            (needed, needed, "ok"),
            (needed, needed - 1, "warning"),
            (needed - 1, 0, "problem"),
        ):
            memory = Memory(device, total, free)
            monkeypatch.setattr(doctor_models, "model_memory", lambda memory=memory: memory)
            check = model(f"transcribe={folder}")
            assert (check.name, check.status) == (str(folder), status)
            assert f"about {planned.weights_gb:.2f} GB in memory" in check.found
            assert bool(check.remedy) == (status != "ok")


def test_a_finding_names_the_family_of_the_model():
    assert f"{TINY}: Qwen2-Audio" in model(str(TINY)).found


def test_folders_without_a_complete_model_are_problems(tmp_path):
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    assert "is not a whole safetensors file" in model(str(folder)).found
    weights.unlink()
    assert "there are no weights in" in model(str(folder)).found
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00002.safetensors").write_bytes(content)
    check = model(str(folder))
    assert "1 of 2 weight files" in check.found and "model-00002-of-00002.safetensors" in check.found
    assert check.remedy == "get them again"
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert "is not one that earmark runs" in model(str(folder)).found


def test_a_model_of_the_hub_is_listed_and_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_models, "model_memory", lambda: Memory("cuda", 10**10, 10**10))
    with serve_hub({}, {"model.safetensors": 2 * 10**9, "pytorch_model.bin": 10**15, "config.json": 1000}) as address:
        use_hub(monkeypatch, address, tmp_path / "home" / "hub")
        check = model("owner/name@main")
        assert (check.status, check.found.partition(",")[0]) == (
            "ok",
            f"a run fetches 2.00 GB to {tmp_path / 'home' / 'hub'}",
        )
        assert model("owner/other").status == "problem"
    assert "not available from the hub" in model("owner/name").found
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_a_model_too_large_for_the_disk_is_a_problem(tmp_path, monkeypatch):
    with serve_hub({}, {"model.safetensors": 10**18}) as address:
        use_hub(monkeypatch, address, tmp_path / "home" / "hub")
        check = model("owner/name")
    assert check.status == "problem" and "make room there" in check.remedy


def test_a_model_in_an_object_store_is_listed_and_not_copied():
    store = OutputStore(f"memory://models-{uuid.uuid4().hex}")
    store.create("tiny/model.safetensors", b"x" * 1000)
    store.create("tiny/config.json", b"{}")
    store.create("tiny/other.txt", b"x" * 5000)
    assert model(f"{store.root}/tiny").found.startswith("a run fetches 0.00 GB to ")
    assert "there is no such folder or bucket" in model(f"{store.root}/none").found


def test_a_served_model_and_an_engine_of_another_package_are_checked():
    with misbehaving_server() as server:
        assert model(server.chat).status == "ok"
        assert MODEL in model(server.chat).name
        url = server.chat
    assert "cannot be reached" in model(url).found
    assert "no package" in model("no-such-engine:x").found


def test_caches_are_named_with_their_sizes(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "models-of-mine"))
    (tmp_path / "home" / "hub" / "blobs").mkdir(parents=True)
    (tmp_path / "home" / "hub" / "blobs" / "a").write_bytes(b"x" * 20_000_000)
    os.symlink(tmp_path / "home" / "hub" / "blobs" / "a", tmp_path / "home" / "hub" / "linked")
    findings = {check.name: check.found for check in caches()}
    assert findings["hub"].startswith(f"{tmp_path / 'home' / 'hub'}: 0.02 GB, ")
    assert findings["object stores"].startswith(f"{tmp_path / 'models-of-mine' / 'models'}: 0.00 GB, ")
