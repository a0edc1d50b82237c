"""Outputs, leases, fetching and copying on the servers of two object stores, with faults in between."""

import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from earmark.model.checkpoints.copy_from_store import copy_checkpoint
from earmark.schemas.errors import JobError, RowError
from earmark.transforms.manifests.find import find_manifests
from earmark.transforms.output.lease import check_lease, take_lease
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage import file_system
from earmark.transforms.storage.fetch_audio import fetch_audio
from earmark.transforms.storage.file_system import StorageError
from tests.support.servers.faulty_proxy import faulty_proxy

pytestmark = pytest.mark.object_store
WRITERS = 16
TIMEOUT_S = 60.0


@pytest.fixture
def bucket(object_store, monkeypatch):
    """The URL of an empty bucket."""
    object_store.reach(monkeypatch)
    return object_store.make_bucket(f"test-{uuid.uuid4().hex}")


@pytest.fixture
def proxy(object_store, bucket, monkeypatch):
    """A proxy between this process and the store, without faults at first."""
    with faulty_proxy(object_store) as running:
        object_store.reach(monkeypatch, running.endpoint)
        yield running


def fail_first(count, fault, *methods, header=""):
    """Answer the first `count` requests of these methods, with this header, by a fault."""
    remaining = iter(range(count))

    def fate(request):
        matches = request.method in methods and (not header or header in request.headers)
        return fault if matches and next(remaining, None) is not None else "pass"

    return fate


def call_at_once(call, arguments):
    start = threading.Barrier(len(arguments))

    def wait_and_call(argument):
        start.wait(30)
        return call(argument)

    with ThreadPoolExecutor(len(arguments)) as threads:
        return list(threads.map(wait_and_call, arguments))


def test_one_of_many_writers_creates_a_complete_object(bucket):
    store = OutputStore(f"{bucket}/out")
    contents = [bytes([number]) * 300_000 for number in range(WRITERS)]
    created = call_at_once(lambda content: store.create("a/b/part", content), contents)
    assert created.count(True) == 1
    assert OutputStore(store.root).read("a/b/part") == contents[created.index(True)]


def test_one_of_many_runs_takes_the_lease_and_another_may_take_it_over(bucket):
    store = OutputStore(f"{bucket}/out")

    def take(run_id):
        try:
            return take_lease(store, run_id, take_over=False)
        except JobError:
            return None

    runs = [f"run{number:02d}" for number in range(WRITERS)]
    (holder,) = (run for run, lease in zip(runs, call_at_once(take, runs), strict=True) if lease is not None)
    check_lease(store, holder)
    with pytest.raises(JobError, match=f"run {holder} .* is writing to"):
        take_lease(store, "late", take_over=False)
    with take_lease(store, "later", take_over=True):
        check_lease(store, "later")
    assert take_lease(store, "last", take_over=False)


@pytest.mark.parametrize("fault", ["lose", "cut", 503])
def test_create_returns_true_although_the_response_was_lost(proxy, bucket, fault):
    store = OutputStore(f"{bucket}/out")
    proxy.fate = fail_first(1, fault, "PUT", "POST")
    assert store.create("part", b"mine" * 1000)
    assert proxy.counts[fault] == (
        0 if proxy.store.scheme == "s3" and fault == "cut" else 1
    )  # S3 answers without a body
    assert not store.create("part", b"others")
    assert store.read("part") == b"mine" * 1000


def test_a_lease_whose_response_was_lost_has_one_holder(proxy, bucket):
    store = OutputStore(f"{bucket}/out")
    proxy.fate = fail_first(1, "lose", "PUT", "POST")
    take_lease(store, "first", take_over=False)
    assert proxy.counts["lose"] == 1
    check_lease(store, "first")
    with pytest.raises(JobError, match="run first"):
        take_lease(store, "second", take_over=False)


@pytest.mark.parametrize("fault", [429, 503, "cut", "lose"])
def test_an_output_is_read_listed_and_replaced_despite_faults(proxy, bucket, fault):
    store, content = OutputStore(f"{bucket}/out"), os.urandom(200_000)
    store.replace("annotations/ab/part-ab.parquet", content)
    for read in (lambda: store.read("annotations/ab/part-ab.parquet") == content, lambda: len(store.parts()) == 1):
        proxy.counts.clear()
        proxy.fate = fail_first(2, fault, "GET")
        assert read()
        assert proxy.counts[fault] == 2
    proxy.fate = fail_first(2, fault, "PUT", "POST")
    store.replace("failures/failures.parquet", content)
    assert store.read("failures/failures.parquet") == content


def test_audio_is_fetched_completely_or_not_at_all(proxy, bucket, object_store, tmp_path):
    content = os.urandom(300_000)
    for number in range(8):
        object_store.file_system().pipe_file(f"{bucket}/audio/{number}.wav", content)
    uris = [f"{bucket}/audio/{number}.wav" for number in range(8)]
    proxy.fate = fail_first(12, "cut", "GET")
    paths = fetch_audio(uris, str(tmp_path), TIMEOUT_S)
    assert [Path(path).read_bytes() == content for path in paths] == [True] * 8
    assert proxy.counts["cut"] == 12
    proxy.fate = lambda request: "cut" if request.method == "GET" else "pass"
    (error,) = fetch_audio(uris[:1], str(tmp_path), 5.0)
    assert isinstance(error, RowError) and error.error in ("fetch_failed", "fetch_timeout")


@pytest.mark.parametrize("object_store", ["s3"], indirect=True)
def test_a_recording_that_is_fetched_in_ranges_is_complete(proxy, bucket, object_store, tmp_path):
    content = os.urandom(60_000_000)  # s3fs fetches more than 50 MB side by side, and each piece once
    object_store.file_system().pipe_file(f"{bucket}/long.wav", content)
    proxy.fate = fail_first(2, "cut", "GET", header="Range")
    (path,) = fetch_audio([f"{bucket}/long.wav"], str(tmp_path), TIMEOUT_S)
    assert proxy.counts["cut"] == 2
    assert Path(path).read_bytes() == content


@pytest.mark.parametrize(("status", "error"), [(403, "permission_denied"), (404, "not_found")])
def test_a_permanent_error_is_not_retried(proxy, bucket, object_store, tmp_path, status, error):
    object_store.file_system().pipe_file(f"{bucket}/a.wav", b"a")
    proxy.fate = lambda request: status
    (result,) = fetch_audio([f"{bucket}/a.wav"], str(tmp_path), TIMEOUT_S)
    assert result.error == error
    assert proxy.counts == {status: 1}


def test_a_large_model_is_copied_despite_broken_connections(proxy, bucket, object_store, tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    weights = os.urandom(110_000_000)  # s3fs and gcsfs fetch more than 50 or 100 MB side by side, in ranges
    store = object_store.file_system()
    store.pipe_file(f"{bucket}/model/model.safetensors", weights)
    store.pipe_file(f"{bucket}/model/config.json", b"{}")
    proxy.fate = fail_first(3, "cut", "GET", header="Range")
    folder, _ = copy_checkpoint(f"{bucket}/model")
    assert proxy.counts["cut"] == 3
    assert (folder / "model.safetensors").read_bytes() == weights


def test_a_store_that_does_not_answer_is_an_error_soon(object_store, bucket, monkeypatch):
    monkeypatch.setattr(file_system, "ANSWER_S", 0.5)
    with faulty_proxy(object_store) as proxy:
        proxy.fate = lambda request: "stall"
        object_store.reach(monkeypatch, proxy.endpoint)
        with pytest.raises(
            JobError, match=r"manifest .* cannot be reached: no answer within 0\.5 s; check the network"
        ):
            find_manifests(f"{bucket}/m.jsonl")


def test_a_missing_bucket_is_named(object_store, bucket):
    with pytest.raises(StorageError, match="there is no bucket missing"):
        OutputStore(f"{object_store.scheme}://missing/out").create("a", b"a")
