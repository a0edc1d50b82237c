"""Finding the files of a manifest from a path, a glob, a folder or a URL."""

import os

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from earmark.schemas.errors import JobError
from earmark.transforms.manifests.find import find_manifests
from tests.support.manifests import read_rows, write_file


def test_files_that_are_left_out_of_a_folder_are_counted_once(tmp_path, caplog):
    for name in ("a.wav", "b.flak", "notes.txt"):
        write_file(tmp_path / name, b"")
    read_rows(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"left out of {tmp_path}: 2 files without the suffix of an audio file"
    ]
    caplog.clear()
    read_rows(tmp_path / "*.wav")
    assert caplog.records == []


def test_a_folder_of_audio_that_cannot_be_listed_stops_the_job(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuses(path):
        if str(path).endswith("/closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    with pytest.raises(JobError, match=r"cannot be read to its end: .*Permission denied: .*/closed"):
        read_rows(tmp_path)


def test_a_glob_that_matches_manifests_and_audio_files_is_refused(tmp_path):
    for name in ("m.jsonl", "n.csv", "a.wav", "b.flac", "c.mp3", "README.md"):
        write_file(tmp_path / name, b"")
    with pytest.raises(JobError, match=r"/\* matches 2 manifests and 3 audio files; name only one kind of files"):
        read_rows(tmp_path / "*")
    assert find_manifests(str(tmp_path / "[mnR]*")) == [str(tmp_path / name) for name in ("m.jsonl", "n.csv")]


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("m.jsonl", "m.jsonl"),
        ("./deep/../m.jsonl", "m.jsonl"),
        ("*.jsonl", "m.jsonl"),
        ("deep", "deep"),
        ("deep/*", "deep/*"),
    ],
)
def test_local_manifests_are_named_so_that_a_worker_in_another_folder_finds_them(
    tmp_path, monkeypatch, manifest, expected
):
    (tmp_path / "deep").mkdir()
    for name in ("m.jsonl", "deep/a.wav"):
        write_file(tmp_path / name, b"")
    monkeypatch.chdir(tmp_path)
    assert find_manifests(manifest) == [str(tmp_path / expected)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "there is no manifest"),
        ("nothing-*.jsonl", "nothing matches"),
        ("notes.txt", "not in a format that earmark reads"),
        ("folder.parquet", r"is a folder; name the files in it, as in .*folder\.parquet/\*"),
        ("broken.parquet", "cannot be read"),
    ],
)
def test_a_file_that_is_no_manifest_stops_the_job(tmp_path, name, message):
    (tmp_path / "folder.parquet").mkdir()
    for file in ("notes.txt", "broken.parquet"):
        write_file(tmp_path / file, "x")
    with pytest.raises(JobError, match=message):
        read_rows(tmp_path / name)


def test_an_unknown_scheme_stops_the_job():
    with pytest.raises(JobError, match=r"nowhere://m\.jsonl cannot be reached"):
        find_manifests("nowhere://m.jsonl")


class Unreachable(MemoryFileSystem):
    """Raises what is no OSError, as gcsfs and google.auth do."""

    protocol = "unreachable"

    def info(self, path, **kwargs):
        raise Exception("no credentials\nwere found")


@pytest.mark.parametrize("name", ["m.jsonl", "*.jsonl"])
def test_an_unreachable_manifest_is_not_called_missing(name):
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    with pytest.raises(JobError, match="cannot be reached: no credentials were found"):
        find_manifests(f"unreachable://{name}")
