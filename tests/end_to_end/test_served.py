"""`earmark annotate` with a served model, as a user starts it."""

import json
import logging
import traceback

import pytest

from earmark.pipeline.cli import main
from earmark.schemas.errors import JobError
from tests.support.jobs import annotations, failures, run_command, write_manifest, write_tones
from tests.support.servers.misbehaving_server import (
    KEY,
    Answer,
    correct,
    in_turn,
    misbehaving_server,
    page,
    refused,
)

pytestmark = pytest.mark.model

COUNT = 8


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("EARMARK_API_KEY", KEY)
    with misbehaving_server() as server:
        yield server


@pytest.fixture
def manifest(tmp_path):
    return write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", COUNT))


def texts(manifest):
    """Description of the audio of each recording."""
    rows = map(json.loads, manifest.read_text().splitlines())
    return {row["id"]: row["text"] for row in rows}


def job(server, manifest, output, *flags):
    return ["annotate", str(manifest), str(output), "--model", server.chat, "--task=caption", *flags]


def captions(output):
    return {row["id"]: row["caption"]["text"] for row in annotations(output)}


def model_requests(server):
    return [request for request in server.requests if request.path != "/models"]


def test_a_job_whose_server_gives_out_goes_on_where_it_was(server, manifest, tmp_path, capsys):
    output, expected = tmp_path / "out", texts(manifest)
    server.behave = in_turn(*[None] * 4, refused(429, "no more today"))
    flags = ("--shard_rows=2", "--endpoint_requests=1", "--direct_num_workers=1")
    assert main(job(server, manifest, output, *flags)) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message == "earmark: the server of listener is busy or down (429: no more today)"
    before = captions(output)
    assert before == {id: expected[id] for id in before} and 0 < len(before) < COUNT
    server.behave, server.requests = correct, []
    assert main(job(server, manifest, output, "--shard_rows=2", "--endpoint_requests=3")) == 0
    assert captions(output) == expected
    assert sorted(request.audio for request in model_requests(server)) == sorted(
        text for id, text in expected.items() if id not in before
    )


def test_a_recording_that_the_server_refuses_is_one_failure(server, manifest, tmp_path):
    bad = texts(manifest)["r0002"]
    server.behave = lambda request: (
        refused(400, f"cannot decode it, {KEY}") if request.audio == bad else correct(request)
    )
    assert main(job(server, manifest, tmp_path / "out")) == 0
    assert len(annotations(tmp_path / "out")) == COUNT - 1
    (failure,) = failures(tmp_path / "out")
    assert (failure["id"], failure["stage"], failure["error"]) == ("r0002", "Annotate", "refused")
    assert failure["message"] == "the server of listener refuses this request (400: cannot decode it, [key])"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused(401, "who are you?"), "does not accept the key in EARMARK_API_KEY (401: who are you?)"),
        (Answer(b'{"data": [{"id": "other"}]}'), "the server lists other, and not listener: "),
        (page(), "is not on a model server"),
    ],
)
def test_an_error_of_the_server_is_reported_before_any_work(server, manifest, tmp_path, answer, expected, capsys):
    server.behave = lambda request: answer
    assert main(job(server, manifest, tmp_path / "out")) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"earmark: model {server.chat}") and expected in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.process
def test_the_key_goes_to_the_server_and_nowhere_else(server, manifest, tmp_path, caplog):
    caplog.set_level(logging.INFO)  # as --verbose has it
    output = tmp_path / "out"
    bad = texts(manifest)["r0002"]
    server.behave = lambda request: refused(400, f"not with {KEY}") if request.audio == bad else correct(request)
    ended = run_command(*job(server, manifest, output, "--verbose"), timeout_s=300)
    assert ended.returncode == 0, ended.stderr
    server.behave = lambda request: refused(401, f"not with {KEY}") if request.path != "/models" else correct(request)
    with pytest.raises(JobError, match=r"\(401: not with \[key\]\)") as raised:
        main(job(server, manifest, output, "--verbose"))
    written = b"".join(path.read_bytes() for path in output.rglob("*") if path.is_file())
    rows = repr([annotations(output), failures(output)])
    assert "refuses this request (400: not with [key])" in rows
    printed = ended.stdout + ended.stderr + caplog.text + "".join(traceback.format_exception(raised.value))
    assert KEY not in printed + rows and KEY.encode() not in written
    assert {request.key for request in server.requests} == {KEY}


def test_the_output_holds_the_endpoint_without_the_options_of_its_requests(server, manifest, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(job(server, manifest, output)) == 0
    (task,) = json.loads((output / "_earmark" / "job.json").read_text())["tasks"]
    assert task["model"] == server.chat
    assert main(job(server, manifest, output, "--endpoint_requests=2", "--endpoint_timeout_s=5")) == 0
    other = ["--model", server.chat.replace("#listener", "#other")]
    assert main([*job(server, manifest, output)[:3], *other, "--task=caption"]) == 1
    assert f"caption.model was '{server.chat}', now '{other[1]}'" in capsys.readouterr().err
