"""Runs of the command with manifest, audio, model and output on the servers of two object stores."""

import io
import json
import os
import signal
import subprocess
import time
import uuid

import pyarrow.parquet as pq
import pytest

from tests.support.jobs import PHONE_PROMPTS, TINY, annotations, command_line, manifest_lines, same
from tests.support.servers.faulty_proxy import busy_store, faulty_proxy

pytestmark = pytest.mark.object_store
FILES, RECORDINGS = 24, 240
OPTIONS = ("--task", "transcribe", "--shard_rows", "16")
DEADLINE_S = 300
ERROR_S = 30.0  # a wrong job is refused within this time, most of which goes to Python's imports


class Corpus:
    """A bucket with a manifest, audio and a model; each of its methods goes straight to the server."""

    def __init__(self, store):
        self.store, self.files = store, store.file_system()
        self.url = store.make_bucket(f"run-{uuid.uuid4().hex}")
        for path in TINY.iterdir():
            self.files.put_file(str(path), f"{self.url}/model/{path.name}")
        rows = manifest_lines(PHONE_PROMPTS)
        for row in rows[:FILES]:
            name = row["audio_filepath"]
            self.files.put_file(str(PHONE_PROMPTS.parent / name), f"{self.url}/corpus/{name}")
        self.rows = [
            {"id": f"{number:03d}", "audio_filepath": rows[number % FILES]["audio_filepath"]}
            for number in range(RECORDINGS)
        ]
        self.files.pipe_file(f"{self.url}/corpus/manifest.jsonl", self.manifest())

    def manifest(self):
        return "".join(json.dumps(row) + "\n" for row in self.rows).encode()

    def command(self, output="out", manifest="corpus/manifest.jsonl"):
        urls = (f"{self.url}/{manifest}", f"{self.url}/{output}")
        return command_line("annotate", *urls, "--model", f"{self.url}/model", *OPTIONS)

    def parts(self, output="out"):
        return sorted(self.files.glob(f"{self.url}/{output}/annotations/*/*.parquet"))

    def annotations(self, output="out"):
        tables = [pq.read_table(io.BytesIO(self.files.cat_file(part))) for part in self.parts(output)]
        return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: str(row["id"]))


@pytest.fixture(scope="module")
def corpus(object_store):
    return Corpus(object_store)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The annotations of a run on local files, without the URIs of the audio."""
    folder = tmp_path_factory.mktemp("local")
    rows = manifest_lines(PHONE_PROMPTS)
    paths = [str(PHONE_PROMPTS.parent / row["audio_filepath"]) for row in rows[:FILES]]
    manifest = [{"id": f"{number:03d}", "audio_filepath": paths[number % FILES]} for number in range(RECORDINGS)]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in manifest))
    command = command_line("annotate", folder / "m.jsonl", folder / "out", "--model", TINY, *OPTIONS)
    run(command, {})
    return without_uris(annotations(folder / "out"))


def without_uris(rows):
    return [{name: value for name, value in row.items() if name != "uri"} for row in rows]


def run(command, variables, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, env={**os.environ, **variables})
    assert done.returncode == status, done.stdout + done.stderr
    return done


def assert_same_rows(rows, expected):
    assert [row["id"] for row in rows] == [row["id"] for row in expected]
    for row, expected_row in zip(without_uris(rows), expected, strict=True):
        assert same(row, expected_row), f"{row}\n{expected_row}"


def test_a_run_needs_no_local_files(corpus, expected, tmp_path):
    variables = {**corpus.store.variables(), "EARMARK_CACHE": str(tmp_path)}
    run(corpus.command(), variables)
    assert_same_rows(corpus.annotations(), expected)
    assert all(row["uri"].startswith(f"{corpus.url}/corpus/") for row in corpus.annotations())
    parts = corpus.parts()
    repeated = run(corpus.command(), variables)
    assert corpus.parts() == parts
    assert repeated.stdout.startswith("Nothing to do:")


@pytest.mark.parametrize("object_store", ["s3"], indirect=True)
def test_a_killed_run_is_resumed(corpus, expected, tmp_path):
    variables = {**os.environ, **corpus.store.variables(), "EARMARK_CACHE": str(tmp_path)}
    killed = subprocess.Popen(
        corpus.command("killed"), env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(corpus.parts("killed")) >= 2, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = corpus.parts("killed")
    assert len(corpus.annotations("killed")) < RECORDINGS
    run(corpus.command("killed"), variables)
    assert set(before) < set(corpus.parts("killed"))
    assert_same_rows(corpus.annotations("killed"), expected)


def wait_until(reached, process):
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_busy_store_fails_no_row(corpus, expected, tmp_path):
    with faulty_proxy(corpus.store, fate=busy_store()) as proxy:
        run(corpus.command("busy"), {**proxy.variables(), "EARMARK_CACHE": str(tmp_path)})
    assert_same_rows(corpus.annotations("busy"), expected)
    print(f"{corpus.store.scheme}: {dict(proxy.counts)}")
    assert proxy.counts["cut"] >= 2 and proxy.counts[429] >= 6 and proxy.counts[503] >= 6, proxy.counts


def test_a_reader_never_sees_an_incomplete_part(corpus, expected, tmp_path):
    output = "read"
    read: dict[str, bytes] = {}
    with faulty_proxy(corpus.store, slow_s=0.2) as proxy:
        variables = {**os.environ, **proxy.variables(), "EARMARK_CACHE": str(tmp_path)}
        with open(tmp_path / "log.txt", "wb") as log:
            process = subprocess.Popen(corpus.command(output), env=variables, stdout=log, stderr=log)
        looks = 0
        while process.poll() is None:
            looks += 1
            for part in corpus.parts(output):
                content = corpus.files.cat_file(part)
                assert read.setdefault(part, content) == content
                assert pq.read_table(io.BytesIO(content)).num_rows > 0
    assert process.returncode == 0, (tmp_path / "log.txt").read_text()
    assert len(read) > 5 and looks > len(read)
    assert_same_rows(corpus.annotations(output), expected)
