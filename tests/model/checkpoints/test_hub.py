"""Snapshots of the Hugging Face hub, fetched by its real client from a hub on loopback."""

import pytest

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.checkpoints.hub import HUB_ERRORS, cached_snapshot, fetch_snapshot, list_file_sizes
from earmark.schemas.errors import JobError
from tests.support.servers.hub_server import COMMIT, REPOSITORY, serve_hub, use_hub

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"a pickle", "README.md": b"# it"}
READ = {"config.json", "model.safetensors"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    with serve_hub(FILES) as address:
        use_hub(monkeypatch, address, tmp_path / "hub")
        yield tmp_path / "hub"


def test_only_the_files_that_engines_read_are_fetched(cache):
    checkpoint = find_checkpoint(REPOSITORY)
    assert checkpoint.identity == f"{REPOSITORY}@{COMMIT}"
    assert {path.name for path in cache.glob("*/snapshots/*/*")} == READ


def test_a_snapshot_is_cached_once_it_is_fetched(cache):
    assert cached_snapshot(REPOSITORY) is None
    folder = fetch_snapshot(REPOSITORY)
    assert folder.name == COMMIT
    assert cached_snapshot(REPOSITORY) == cached_snapshot(f"{REPOSITORY}@{COMMIT}") == folder
    (folder / "model.safetensors").unlink()
    assert cached_snapshot(REPOSITORY) is None


def test_sizes_are_listed_without_fetching(cache):
    assert list_file_sizes(REPOSITORY, 5.0) == {name: len(content) for name, content in FILES.items()}
    assert not list(cache.glob("*/snapshots/*/*"))


def test_a_connection_that_the_hub_cuts_is_an_error_with_a_remedy(tmp_path, monkeypatch):
    with serve_hub(FILES, cut="/revision/") as address:
        use_hub(monkeypatch, address, tmp_path / "hub")
        with pytest.raises(HUB_ERRORS) as raised:
            fetch_snapshot(REPOSITORY)
        assert not isinstance(raised.value, OSError)
        with pytest.raises(
            JobError,
            match=rf"--model={REPOSITORY} could not be fetched from the hub \(Server disconnected without sending a"
            r" response\.\); is there a folder of it\?$",
        ):
            find_checkpoint(REPOSITORY)


@pytest.mark.parametrize("name", ["owner/no..name", "owner/name-"])
def test_a_name_that_the_hub_does_not_allow_is_an_error_with_a_remedy(cache, name):
    with pytest.raises(JobError, match=rf"--model={name} could not be fetched from the hub \("):
        find_checkpoint(name)


def test_an_error_of_the_hubs_storage_client_is_an_error_with_a_remedy(monkeypatch):
    def fetch(*_, **__):
        raise RuntimeError("Task error: CAS Client Error: error sending request")  # hf_xet's own

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(JobError, match=r"could not be fetched from the hub \(Task error: CAS Client Error"):
        find_checkpoint(REPOSITORY)
