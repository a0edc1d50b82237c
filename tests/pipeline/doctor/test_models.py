"""`earmark doctor` on models: whole, small enough, and to be had, without fetching any."""

import json
import os
import shutil
import uuid
from pathlib import Path

import pytest

from earmark.pipeline.doctor import models as doctor_models
from earmark.pipeline.doctor.machine import Memory
from earmark.pipeline.doctor.models import caches, model
from earmark.transforms.output.store import OutputStore
from tests.support.bare_home import live_in
from tests.support.jobs import TINY
from tests.support.servers.hub_server import serve_hub, use_hub
from tests.support.servers.misbehaving_server import MODEL, misbehaving_server


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    live_in(monkeypatch, tmp_path / "home")


def test_a_model_of_a_folder_is_held_against_the_memory(monkeypatch):
    numbers = doctor_models._weights_in(TINY).numbers
    for device, bytes_a_number in (("cpu", 4), ("cuda", 2)):
        needed = numbers * bytes_a_number
        for total, free, status in (
            (needed, needed, "ok"),
            (needed, needed - 1, "warning"),
            (needed - 1, 0, "problem"),
        ):
            memory = Memory(device, total, free)
            monkeypatch.setattr(doctor_models, "model_memory", lambda memory=memory: memory)
            found = model(f"transcribe={TINY}")
            assert (found.name, found.status) == (str(TINY), status)
            assert "Qwen2-Audio" in found.found and bool(found.remedy) == (status != "ok")


def test_folders_that_hold_no_whole_model_are_problems(tmp_path):
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    assert "is not a whole safetensors file" in model(str(folder)).found
    weights.unlink()
    assert "holds no weights" in model(str(folder)).found
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00002.safetensors").write_bytes(content)
    found = model(str(folder))
    assert "lacks model-00002-of-00002.safetensors" in found.found
    assert found.remedy == "get the whole checkpoint"
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert "is not one that earmark runs" in model(str(folder)).found


def test_a_model_of_the_hub_is_asked_for_and_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_models, "model_memory", lambda: Memory("cuda", 10**10, 10**10))
    with serve_hub({}, {"model.safetensors": 2 * 10**9, "pytorch_model.bin": 10**15, "config.json": 1000}) as address:
        use_hub(monkeypatch, address, tmp_path / "home" / "hub")
        found = model("owner/name@main")
        assert (found.status, found.found.partition(",")[0]) == (
            "ok",
            f"a run fetches 2.00 GB to {tmp_path / 'home' / 'hub'}",
        )
        assert model("owner/other").status == "problem"
    assert "nor to be had from the hub" in model("owner/name").found
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_a_model_that_the_disk_does_not_hold_is_a_problem(tmp_path, monkeypatch):
    with serve_hub({}, {"model.safetensors": 10**18}) as address:
        use_hub(monkeypatch, address, tmp_path / "home" / "hub")
        found = model("owner/name")
    assert found.status == "problem" and "make room there" in found.remedy


def test_a_model_in_an_object_store_is_listed_and_not_copied():
    store = OutputStore(f"memory://models-{uuid.uuid4().hex}")
    store.create("tiny/model.safetensors", b"x" * 1000)
    store.create("tiny/config.json", b"{}")
    store.create("tiny/other.txt", b"x" * 5000)
    assert model(f"{store.root}/tiny").found.startswith("a run fetches 0.00 GB to ")
    assert "there is no such folder or bucket" in model(f"{store.root}/none").found


def test_a_served_model_and_an_engine_of_another_package_are_asked_for():
    with misbehaving_server() as server:
        assert model(server.chat).status == "ok"
        assert MODEL in model(server.chat).name
        url = server.chat
    assert "cannot be reached" in model(url).found
    assert "no package" in model("no-such-engine:x").found


def test_caches_are_named_with_what_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "models-of-mine"))
    (tmp_path / "home" / "hub" / "blobs").mkdir(parents=True)
    (tmp_path / "home" / "hub" / "blobs" / "a").write_bytes(b"x" * 20_000_000)
    os.symlink(tmp_path / "home" / "hub" / "blobs" / "a", tmp_path / "home" / "hub" / "linked")
    found = {check.name: check.found for check in caches()}
    assert found["hub"].startswith(f"{tmp_path / 'home' / 'hub'}: 0.02 GB, ")
    assert found["object stores"].startswith(f"{tmp_path / 'models-of-mine' / 'models'}: 0.00 GB, ")
