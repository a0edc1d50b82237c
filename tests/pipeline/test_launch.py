"""The launch of a run: errors of the output, and what is recorded there."""

import json
import uuid
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from earmark.pipeline.launch import JOB_PATH, ExecutionTarget, launched_run
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.transforms.output.lease import FOLDER as LEASES


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"audio": "a.wav"}) + "\n")
    return str(path)


def launched(manifest, output):
    return launched_run(
        manifest, str(output), JobOptions(), dict.fromkeys(JobOptions().tasks(), "model@1"), ExecutionTarget(1)
    )


class Failing(MemoryFileSystem):
    """Raises an error that is no OSError in the method and for the path that a test sets."""

    protocol = "failing"
    method, part_of_path = "", ""

    def _fail(self, method, path):
        if method == self.method and self.part_of_path in path:
            raise Exception("HttpError 403:\nno permission")

    def pipe_file(self, path, value, **kwargs):
        self._fail("pipe_file", path)
        return super().pipe_file(path, value, **kwargs)

    def ls(self, path, **kwargs):
        self._fail("ls", path)
        return super().ls(path, **kwargs)

    def info(self, path, **kwargs):
        self._fail("info", path)
        return super().info(path, **kwargs)


@pytest.mark.parametrize(
    ("method", "part_of_path"),
    [
        ("pipe_file", JOB_PATH),
        ("ls", LEASES),
        ("pipe_file", LEASES),
        ("info", "annotations"),
        ("pipe_file", "parts.txt"),
        ("pipe_file", "run.json"),
    ],
)
def test_an_error_while_the_output_is_claimed_is_one_line(manifest, monkeypatch, method, part_of_path):
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr(Failing, "method", method)
    monkeypatch.setattr(Failing, "part_of_path", part_of_path)
    output = f"failing://out-{uuid.uuid4().hex}"
    message = f"^output {output} cannot be used: HttpError 403: no permission$"
    with pytest.raises(JobError, match=message), launched(manifest, output):
        pass


@pytest.mark.parametrize(
    ("output", "reason"),
    [("nowhere://out", "Protocol not known: nowhere"), ("missing://out", "Install the library of missing")],
)
def test_an_output_of_an_unknown_file_system_is_one_line(manifest, monkeypatch, output, reason):
    missing = {"class": "no_such_library.FileSystem", "err": "Install the library of missing"}
    monkeypatch.setitem(known_implementations, "missing", missing)
    with pytest.raises(JobError, match=f"^output {output} cannot be used: {reason}$"), launched(manifest, output):
        pass


def test_an_output_that_is_a_file_is_one_line(manifest):
    message = r"^output .*m\.jsonl cannot be used: .*Not a directory"
    with pytest.raises(JobError, match=message), launched(manifest, manifest):
        pass


def test_an_error_of_the_run_is_not_blamed_on_the_output(manifest, tmp_path):
    with pytest.raises(OSError, match=r"^of the run$"), launched(manifest, tmp_path / "out"):
        raise OSError("of the run")


@pytest.mark.parametrize("content", [b"[]", b"null", b"{", b"\xff", b'"text"'])
def test_a_damaged_job_description_is_named(manifest, tmp_path, content):
    path = tmp_path / "out" / JOB_PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    message = r"job\.json is damaged \(.*\); choose another output folder"
    with pytest.raises(JobError, match=message), launched(manifest, tmp_path / "out"):
        pass


def test_manifest_and_output_are_recorded_as_absolute_paths(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with launched(Path(manifest).name, "out") as run:
        assert run.manifests == (manifest,)
        assert run.output == str(tmp_path / "out")
        assert json.loads(run.store.read(f"{run.folder}/run.json"))["manifests"] == [manifest]
