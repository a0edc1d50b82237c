"""Checkpoints that are not copied from a store, and the errors."""

import base64
import errno
import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import fsspec
import google_crc32c
import pytest

from earmark.model.checkpoints import copy_from_store as module
from earmark.model.checkpoints.copy_from_store import copy_checkpoint
from earmark.model.checkpoints.files import folder_digest
from earmark.schemas.errors import JobError
from tests.support.disk_store import FILES, DiskStore, list_as, make_store, reads


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def sums_of(content):
    md5 = hashlib.md5(content)
    return {
        "md5Hash": base64.b64encode(md5.digest()).decode(),
        "crc32c": base64.b64encode(google_crc32c.Checksum(content).digest()).decode(),
        "ETag": f'"{md5.hexdigest()}"',
    }


@pytest.mark.parametrize("kind", ["md5Hash", "crc32c", "ETag"])
def test_a_file_that_is_what_the_store_lists_is_read_once(store, kind):
    list_as(store, "config.json", **{kind: sums_of(FILES["config.json"])[kind]})
    copy_checkpoint(f"disk://{store}")
    assert reads(store) == sorted(FILES)


@pytest.mark.parametrize("kind", ["md5Hash", "crc32c"])
def test_a_file_that_is_not_what_the_store_lists_is_refused(store, cache, kind):
    list_as(store, "config.json", **{kind: sums_of(b"others")[kind]})
    with pytest.raises(JobError, match=r"config\.json came with \w+ \w+, the store lists \w+; start again"):
        copy_checkpoint(f"disk://{store}")
    assert not list(cache.rglob("config.json"))


def test_an_etag_that_is_not_an_md5_is_replaced_by_a_second_reading(store, monkeypatch):
    list_as(store, "config.json", ETag=f'"{"0" * 32}"')
    folder, digest = copy_checkpoint(f"disk://{store}")
    assert digest == folder_digest(folder)
    assert reads(store).count("config.json") == 2
    shutil.rmtree(folder)
    other = "not what came first"
    monkeypatch.setattr(module, "_checksums", lambda *_: (other, other))
    with pytest.raises(JobError, match=r"config\.json came with etag"):
        copy_checkpoint(f"disk://{store}")


def test_an_etag_of_an_upload_in_parts_shows_only_that_the_store_changed(store):
    list_as(store, "config.json", ETag=f'"{"0" * 32}-2"', mtime=None)
    before, _ = copy_checkpoint(f"disk://{store}")
    assert reads(store).count("config.json") == 1
    list_as(store, "config.json", ETag=f'"{"1" * 32}-2"', mtime=None)
    assert copy_checkpoint(f"disk://{store}")[0] != before


def test_a_file_that_comes_short_is_refused(store):
    list_as(store, "config.json", size=99)
    with pytest.raises(JobError, match=r"config\.json came with 2 bytes, the store lists 99; start again"):
        copy_checkpoint(f"disk://{store}")


def test_a_store_that_changes_meanwhile_is_refused(store, monkeypatch):
    def copy_and_change(self, path, target, **_):
        Path(target).write_bytes(Path(path).read_bytes())
        Path(path).write_bytes(b"a new upload")

    monkeypatch.setattr(DiskStore, "get_file", copy_and_change)
    with pytest.raises(JobError, match="changed while it was copied; start again"):
        copy_checkpoint(f"disk://{store}")


def test_a_full_disk_is_an_error_before_anything_is_read(store, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(JobError, match=r"takes 0\.00 GB, and 0\.00 GB are free\); make room there, or let EARMARK_CAC"):
        copy_checkpoint(f"disk://{store}")
    assert reads(store) == []


def test_a_disk_that_fills_up_during_the_copy_is_an_error(store, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DiskStore, "get_file", full)
    with pytest.raises(JobError, match=r"cannot be copied to .*No space left on device.*make room there"):
        copy_checkpoint(f"disk://{store}")


def test_a_cache_that_cannot_be_written_is_an_error(store, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "file"))
    with pytest.raises(JobError, match=r"cannot be copied to .*Not a directory.*let EARMARK_CACHE name another"):
        copy_checkpoint(f"disk://{store}")


class DeniedError(Exception):
    """Like those of gcsfs and botocore, no OSError."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError("bucket"), "there is no such folder or bucket"),
        (PermissionError("Forbidden"), r"may not be read \(Forbidden\); sign in"),
        (DeniedError("no\ncredentials"), "cannot be read: no credentials"),
        (DeniedError(), "cannot be read: DeniedError"),
    ],
)
@pytest.mark.parametrize("method", ["ls", "get_file"])
def test_a_stores_error_is_quoted_in_one_line(store, monkeypatch, method, error, message):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(DiskStore, method, refuse)
    with pytest.raises(JobError, match=f"--model=disk://.*{message}"):
        copy_checkpoint(f"disk://{store}")


def test_a_folder_without_a_model_is_an_error(store):
    for name in FILES:
        (store / name).unlink()
    with pytest.raises(JobError, match=r"holds none of the files of a model .*found README\.md, pytorch_model\.bin"):
        copy_checkpoint(f"disk://{store}")


def test_a_file_is_no_folder():
    fsspec.filesystem("memory").pipe_file("/one/config.json", b"{}")
    with pytest.raises(JobError, match="is a file; name the folder"):
        copy_checkpoint("memory://one/config.json")


def test_a_store_that_lists_no_lengths_is_refused(store):
    list_as(store, "config.json", size=None)
    with pytest.raises(JobError, match=r"does not list the size of config\.json,"):
        copy_checkpoint(f"disk://{store}")
