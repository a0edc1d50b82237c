"""Copies of checkpoints in stores are complete, verified and made once."""

import logging
import multiprocessing
import os
import shutil
import signal
import threading
from collections import namedtuple

import pytest

from earmark.model.checkpoints import copy_from_store as module
from earmark.model.checkpoints.copy_from_store import copy_checkpoint
from earmark.model.checkpoints.files import folder_digest
from tests.support.disk_store import FILES, DiskStore, list_as, make_store, reads


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def test_what_engines_read_is_copied_once(store, cache):
    folder, digest = copy_checkpoint(f"disk://{store}")
    assert folder.parent == cache / "models"
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "copied.json"} == FILES
    assert digest == folder_digest(folder) == folder_digest(store)
    assert copy_checkpoint(f"disk://{store}/") == (folder, digest)
    assert reads(store) == sorted(FILES)


def test_a_second_start_reads_no_weights(store, monkeypatch):
    first = copy_checkpoint(f"disk://{store}")
    monkeypatch.setattr(module, "_checksums", None)
    monkeypatch.setattr(module, "_locked", None)  # so that a cache that cannot be written can be used
    assert copy_checkpoint(f"disk://{store}") == first


def test_a_store_that_changed_is_copied_beside_the_files_of_a_running_job(store):
    before, _ = copy_checkpoint(f"disk://{store}")
    (store / "model-1.safetensors").write_bytes(b"WEIGHTS" * 1000)
    after, digest = copy_checkpoint(f"disk://{store}")
    assert (before / "model-1.safetensors").read_bytes() == FILES["model-1.safetensors"]
    assert (after / "model-1.safetensors").read_bytes() == b"WEIGHTS" * 1000
    assert digest == folder_digest(store)


def room_for_one(folder):
    """Usage of a disk with room for one copy, less the files in the folder."""
    used_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return namedtuple("Usage", "free")(sum(map(len, FILES.values())) - used_bytes)


@pytest.mark.parametrize("harm", ["delete", "cut"])
def test_a_copy_that_lost_a_file_is_repaired(store, harm, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", room_for_one)
    folder, digest = copy_checkpoint(f"disk://{store}")
    (folder / "model-1.safetensors").unlink() if harm == "delete" else os.truncate(folder / "model-1.safetensors", 9)
    assert copy_checkpoint(f"disk://{store}") == (folder, digest)
    assert folder_digest(folder) == digest


class Telling(logging.Handler):
    """Puts what is logged into a queue."""

    def __init__(self, messages):
        super().__init__()
        self.messages = messages

    def emit(self, record):
        self.messages.put(record.getMessage())


def copy_in_child(url, messages):
    logging.getLogger("earmark").setLevel(logging.INFO)
    logging.getLogger("earmark").addHandler(Telling(messages))
    messages.put(copy_checkpoint(url)[1])


def start_copy(url):
    spawn = multiprocessing.get_context("spawn")
    messages = spawn.Queue()
    child = spawn.Process(target=copy_in_child, args=(url, messages))
    child.start()
    return child, messages


@pytest.mark.process
def test_a_copy_whose_process_was_killed_is_made_again(store, cache):
    list_as(store, "model-2.safetensors", stuck=True)
    child, _ = start_copy(f"disk://{store}")
    while not list(cache.rglob("model-2.safetensors.part")):
        assert child.is_alive()
        child.join(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    (partial_copy,) = (path for path in (cache / "models").iterdir() if path.is_dir())
    assert {path.name for path in partial_copy.iterdir()} == {
        "config.json",
        "model-1.safetensors",
        "model-2.safetensors.part",
    }
    list_as(store, "model-2.safetensors")
    folder, digest = copy_checkpoint(f"disk://{store}")
    assert folder == partial_copy
    assert digest == folder_digest(folder) == folder_digest(store)
    assert {path.name for path in folder.iterdir()} == {*FILES, "copied.json"}


def test_of_two_processes_one_copies_and_the_other_waits(store, monkeypatch):
    begun, go_on, copied = threading.Event(), threading.Event(), []
    really_open = DiskStore._open

    def held_open(self, path, **options):
        begun.set()
        assert go_on.wait(60)
        return really_open(self, path, **options)

    monkeypatch.setattr(DiskStore, "_open", held_open)  # in this process
    thread = threading.Thread(target=lambda: copied.append(copy_checkpoint(f"disk://{store}")[1]))
    thread.start()
    assert begun.wait(60)
    child, messages = start_copy(f"disk://{store}")
    assert messages.get(timeout=60).startswith("waiting for another process that copies the model")
    go_on.set()
    thread.join()
    assert [messages.get(timeout=60)] == copied == [folder_digest(store)]
    child.join()
    assert reads(store) == sorted(FILES)


def test_without_a_variable_copies_go_to_the_users_caches(store, tmp_path, monkeypatch):
    monkeypatch.delenv("EARMARK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert copy_checkpoint(f"disk://{store}")[0].parent == tmp_path / "caches" / "earmark" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert copy_checkpoint(f"disk://{store}")[0].parent == tmp_path / "home" / ".cache" / "earmark" / "models"
