"""Jobs that a store does not let run: one clear line, status 1, soon, and before any work."""

import json
import os
import subprocess
import time
import uuid

import pytest

from tests.faulty_proxy import faulty_proxy
from tests.jobs import command_line, write_tone
from tests.small_qwen2_audio import TINY

pytestmark = pytest.mark.object_store
# Most of it is Python's imports. A client that finds no credentials asks the cloud's own machines for some first.
SOON_S = 30.0


@pytest.fixture(scope="module")
def bucket(object_store, tmp_path_factory):
    url, files = object_store.make_bucket(f"refuse-{uuid.uuid4().hex}"), object_store.file_system()
    files.put_file(str(write_tone(tmp_path_factory.mktemp("audio") / "a.wav")), f"{url}/corpus/a.wav")
    files.pipe_file(f"{url}/corpus/m.jsonl", json.dumps({"audio_filepath": "a.wav"}).encode())
    return url


@pytest.fixture
def proxy(object_store):
    with faulty_proxy(object_store) as running:
        running.asked = []
        yield running


def refused(variables, manifest, output, model=TINY):
    """What the command says to be refused, which is one line."""
    command = command_line("annotate", manifest, output, "--model", model)
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **variables})
    took_s = time.monotonic() - begun
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout, done.stdout + done.stderr
    assert took_s < SOON_S, f"{took_s:.0f} s: {done.stderr}"
    return done.stderr.strip()


def denied(*wanted, methods=("GET", "HEAD", "PUT", "POST")):
    """403 for the places that are wanted, and no other may be asked for audio."""

    def fate(request):
        asked = request.raw_path.replace("%2F", "/")
        assert "a.wav" not in asked
        return 403 if request.method in methods and any(place in asked for place in wanted) else "pass"

    return fate


def test_a_manifest_that_may_not_be_read(proxy, bucket, tmp_path):
    proxy.fate = denied("corpus")
    said = refused(proxy.variables(), f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert said.startswith(f"earmark: manifest {bucket}/corpus/m.jsonl cannot be reached: no permission (")


@pytest.mark.parametrize("scheme_place", ["m.jsonl", "corpus/none.jsonl"])
def test_a_manifest_that_is_not_there(object_store, bucket, tmp_path, scheme_place):
    manifest = f"{bucket}/{scheme_place}" if "/" in scheme_place else f"{object_store.scheme}://missing/{scheme_place}"
    said = refused(object_store.variables(), manifest, tmp_path / "out")
    assert said == f"earmark: there is no manifest {manifest}"


@pytest.mark.parametrize("methods", [("GET", "HEAD"), ("PUT", "POST")])
def test_an_output_that_may_not_be_used(proxy, bucket, methods):
    proxy.fate = denied("/out", "=out", "/upload/", methods=methods)
    said = refused(proxy.variables(), f"{bucket}/corpus/m.jsonl", f"{bucket}/out")
    assert said.startswith(f"earmark: output {bucket}/out cannot be ") and "no permission (" in said


def test_an_output_in_a_missing_bucket(object_store, bucket):
    output = f"{object_store.scheme}://missing/out"
    said = refused(object_store.variables(), f"{bucket}/corpus/m.jsonl", output)
    assert said == f"earmark: output {output} cannot be used: there is no bucket missing"


def test_a_model_in_a_missing_bucket(object_store, bucket, tmp_path):
    model = f"{object_store.scheme}://missing/model"
    said = refused(object_store.variables(), f"{bucket}/corpus/m.jsonl", tmp_path / "out", model)
    assert said == f"earmark: --model={model}: there is no such folder or bucket"


def test_credentials_that_the_store_does_not_take(proxy, bucket, tmp_path):
    variables = proxy.variables()
    if proxy.store.scheme == "gs":
        proxy.fate = lambda request: 401  # the server itself takes everyone
    else:
        variables["AWS_SECRET_ACCESS_KEY"] = "wrong"
    said = refused(variables, f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert said.startswith(f"earmark: manifest {bucket}/corpus/m.jsonl cannot be reached: ")


def test_no_credentials(object_store, bucket, tmp_path):
    if object_store.scheme == "gs":
        pytest.skip("gcsfs goes on without any, and the store refuses it: see the test before")
    variables = {"AWS_ENDPOINT_URL": object_store.endpoint, "HOME": str(tmp_path)}
    said = refused(variables, f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert said.endswith("cannot be reached: Unable to locate credentials")


def test_a_store_that_does_not_answer(proxy, bucket, tmp_path):
    proxy.fate = lambda request: "stall"
    said = refused(proxy.variables(), f"{bucket}/corpus/m.jsonl", tmp_path / "out")
    assert said.endswith("cannot be reached: no answer within 20 s; see to the network and to your credentials")
