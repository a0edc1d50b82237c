"""Jobs that a store does not let run: one clear line, status 1, soon, and before any work."""

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
def place(object_store, tmp_path_factory):
    """The URL of a bucket with a manifest, `corpus/m.jsonl`, and its audio."""
    url, files = object_store.make_bucket(f"refuse-{uuid.uuid4().hex}"), object_store.file_system()
    files.put_file(str(write_tone(tmp_path_factory.mktemp("audio") / "a.wav")), f"{url}/corpus/a.wav")
    files.pipe_file(f"{url}/corpus/m.jsonl", json.dumps({"audio_filepath": "a.wav"}).encode())
    return url


@pytest.fixture
def bucket(object_store, place, monkeypatch):
    object_store.reach(monkeypatch)
    return place


@pytest.fixture
def proxy(object_store, bucket, monkeypatch):
    with faulty_proxy(object_store) as running:
        object_store.reach(monkeypatch, running.endpoint)
        yield running


def refused(manifest, output, model=TINY):
    """What is said to a job that is refused."""
    begun = time.monotonic()
    with pytest.raises(JobError) as refusal:
        annotate(str(manifest), str(output), JobOptions(model=(str(model),)), [])
    assert time.monotonic() - begun < SOON_S
    return str(refusal.value)


def denied(*places, methods=("GET", "HEAD", "PUT", "POST")):
    """403 for these places; and no audio may be asked for."""

    def fate(request):
        asked = request.raw_path.replace("%2F", "/")
        assert "a.wav" not in asked
        return 403 if request.method in methods and any(place in asked for place in places) else "pass"

    return fate


def test_the_command_says_it_in_one_line(proxy, bucket, tmp_path):
    proxy.fate = denied("corpus")
    command = command_line("annotate", f"{bucket}/corpus/m.jsonl", tmp_path / "out", "--model", TINY)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **proxy.variables()})
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith(f"earmark: manifest {bucket}/corpus/m.jsonl cannot be reached: no permission (")
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["corpus/none.jsonl", "none/"])
def test_a_manifest_that_is_not_there(bucket, tmp_path, name):
    assert refused(f"{bucket}/{name}", tmp_path / "out") == f"there is no manifest {bucket}/{name}"


def test_a_manifest_in_a_missing_bucket(object_store, bucket, tmp_path):
    manifest = f"{object_store.scheme}://missing/m.jsonl"
    assert refused(manifest, tmp_path / "out") == f"there is no manifest {manifest}"


@pytest.mark.parametrize("methods", [("GET", "HEAD"), ("PUT", "POST")])
def test_an_output_that_may_not_be_used(proxy, bucket, methods):
    proxy.fate = denied("/out", "=out", "/upload/", methods=methods)
    said = refused(f"{bucket}/corpus/m.jsonl", f"{bucket}/out")
    assert said.startswith(f"output {bucket}/out cannot be ") and "no permission (" in said


def test_an_output_in_a_missing_bucket(object_store, bucket):
    output = f"{object_store.scheme}://missing/out"
    said = refused(f"{bucket}/corpus/m.jsonl", output)
    assert said == f"output {output} cannot be used: there is no bucket missing"


def test_a_model_in_a_missing_bucket(object_store, bucket, tmp_path):
    model = f"{object_store.scheme}://missing/model"
    said = refused(f"{bucket}/corpus/m.jsonl", tmp_path / "out", model)
    assert said == f"--model={model}: there is no such folder or bucket"


def test_credentials_that_the_store_does_not_take(proxy, bucket, tmp_path, monkeypatch):
    if proxy.store.scheme == "gs":
        proxy.fate = lambda request: 401  # the server itself takes everyone
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    said = refused(f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert said.startswith(f"manifest {bucket}/corpus/m.jsonl cannot be reached: ")


@pytest.mark.parametrize("object_store", ["s3"], indirect=True)  # gcsfs goes on without any, and the store refuses it
def test_no_credentials(bucket, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # which would be asked for some, beyond this machine
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    said = refused(f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert said == f"manifest {bucket}/corpus/m.jsonl cannot be reached: Unable to locate credentials"
