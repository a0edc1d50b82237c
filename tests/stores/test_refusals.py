"""Jobs that a store refuses fail soon, before any work, with one line and status 1."""

import json
import os
import subprocess
import time
import uuid

import fsspec
import pytest

from earmark.pipeline.annotate import annotate
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from tests.support.jobs import TINY, command_line, write_tone
from tests.support.servers.faulty_proxy import faulty_proxy

pytestmark = pytest.mark.object_store
SOON_S = 30.0


@pytest.fixture(scope="module")
def bucket_url(object_store, tmp_path_factory):
    """The URL of a bucket with a manifest, `corpus/m.jsonl`, and its audio."""
    url, files = object_store.make_bucket(f"refuse-{uuid.uuid4().hex}"), object_store.file_system()
    files.put_file(str(write_tone(tmp_path_factory.mktemp("audio") / "a.wav")), f"{url}/corpus/a.wav")
    files.pipe_file(f"{url}/corpus/m.jsonl", json.dumps({"audio_filepath": "a.wav"}).encode())
    return url


@pytest.fixture
def bucket(object_store, bucket_url, monkeypatch):
    object_store.reach(monkeypatch)
    return bucket_url


@pytest.fixture
def proxy(object_store, bucket, monkeypatch):
    with faulty_proxy(object_store) as running:
        object_store.reach(monkeypatch, running.endpoint)
        yield running


def error_of(manifest, output, model=TINY):
    """The error message of a job that is refused."""
    begun = time.monotonic()
    with pytest.raises(JobError) as refusal:
        annotate(str(manifest), str(output), JobOptions(model=(str(model),)), [])
    assert time.monotonic() - begun < SOON_S
    return str(refusal.value)


def deny(*paths, methods=("GET", "HEAD", "PUT", "POST")):
    """Answer 403 for URLs with one of the paths; a request for audio fails the test."""

    def fate(request):
        url = request.raw_path.replace("%2F", "/")
        assert "a.wav" not in url
        return 403 if request.method in methods and any(path in url for path in paths) else "pass"

    return fate


def test_the_command_prints_one_line(proxy, bucket, tmp_path):
    proxy.fate = deny("corpus")
    command = command_line("annotate", f"{bucket}/corpus/m.jsonl", tmp_path / "out", "--model", TINY)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **proxy.variables()})
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith(f"earmark: manifest {bucket}/corpus/m.jsonl cannot be reached: no permission (")
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["corpus/none.jsonl", "none/"])
def test_a_missing_manifest(bucket, tmp_path, name):
    assert error_of(f"{bucket}/{name}", tmp_path / "out") == f"there is no manifest {bucket}/{name}"


def test_a_manifest_in_a_missing_bucket(object_store, bucket, tmp_path):
    manifest = f"{object_store.scheme}://missing/m.jsonl"
    assert error_of(manifest, tmp_path / "out") == f"there is no manifest {manifest}"


@pytest.mark.parametrize("methods", [("GET", "HEAD"), ("PUT", "POST")])
def test_an_output_without_permission(proxy, bucket, methods):
    proxy.fate = deny("/out", "=out", "/upload/", methods=methods)
    message = error_of(f"{bucket}/corpus/m.jsonl", f"{bucket}/out")
    assert message.startswith(f"output {bucket}/out cannot be ") and "no permission (" in message


def test_an_output_in_a_missing_bucket(object_store, bucket):
    output = f"{object_store.scheme}://missing/out"
    message = error_of(f"{bucket}/corpus/m.jsonl", output)
    assert message == f"output {output} cannot be used: there is no bucket missing"


def test_a_model_in_a_missing_bucket(object_store, bucket, tmp_path):
    model = f"{object_store.scheme}://missing/model"
    message = error_of(f"{bucket}/corpus/m.jsonl", tmp_path / "out", model)
    assert message == f"--model={model}: there is no such folder or bucket"


def test_wrong_credentials(proxy, bucket, tmp_path, monkeypatch):
    if proxy.store.scheme == "gs":
        proxy.fate = lambda request: 401  # the server itself accepts any credentials
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    message = error_of(f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert message.startswith(f"manifest {bucket}/corpus/m.jsonl cannot be reached: ")


@pytest.mark.parametrize("object_store", ["s3"], indirect=True)  # gcsfs would go on without credentials
def test_no_credentials(bucket, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # would ask a host outside this machine
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    message = error_of(f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert message == f"manifest {bucket}/corpus/m.jsonl cannot be reached: Unable to locate credentials"
