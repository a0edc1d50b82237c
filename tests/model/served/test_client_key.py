"""The key for a server comes from the environment, and appears in no message."""

import logging
import traceback

import pytest

from earmark.schemas.errors import JobError
from tests.support.servers.endpoint_clients import WAV, checked, client_of, refusal, server_without_key
from tests.support.servers.misbehaving_server import KEY, refused


@pytest.fixture
def server(monkeypatch):
    with server_without_key(monkeypatch) as server:
        yield server


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_key_is_named_with_its_variable(server, status):
    assert "requires a key" in str(refusal(server, JobError, refused(status)))
    assert "set EARMARK_API_KEY, on every worker" in str(refusal(server, JobError, refused(status)))


def test_a_wrong_key_is_the_jobs_error(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert "does not accept the key in OPENAI_API_KEY (401:" in str(refusal(server, JobError, refused(401)))


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({}, "none"),
        ({"OPENAI_API_KEY": "b"}, "b"),
        ({"EARMARK_API_KEY": "a", "OPENAI_API_KEY": "b"}, "a"),
        ({"EARMARK_API_KEY": "", "OPENAI_API_KEY": "b\n"}, "b"),
    ],
)
def test_the_key_is_the_environments(server, monkeypatch, variables, key):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client_of(server).transcribe(WAV)
    assert [request.key for request in server.requests] == [key]


@pytest.mark.parametrize("ending", ["\x1b", "é", " \n x"])
def test_an_invalid_key_is_refused_and_not_repeated(server, monkeypatch, ending):
    monkeypatch.setenv("EARMARK_API_KEY", KEY + ending)
    with pytest.raises(JobError, match="EARMARK_API_KEY holds characters that no key has") as raised:
        client_of(server)
    assert KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error(server, monkeypatch, caplog, status):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EARMARK_API_KEY", KEY)
    server.behave = lambda request: refused(status, f"nobody has the key {KEY}")
    error = refusal(server, Exception)
    assert "nobody has the key [key]" in str(error)
    assert KEY not in "".join(traceback.format_exception(error)) + caplog.text
    assert {request.key for request in server.requests} == {KEY}


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_the_key_is_in_no_error_before_the_job(server, monkeypatch, caplog, status):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EARMARK_API_KEY", KEY)
    server.behave = lambda request: refused(status, f"nobody has the key {KEY}")
    with pytest.raises(JobError, match=r"nobody has the key \[key\]") as raised:
        checked(server)
    assert KEY not in "".join(traceback.format_exception(raised.value)) + caplog.text
