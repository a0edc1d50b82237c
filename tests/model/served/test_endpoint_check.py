"""Checks of a served model before the job."""

import pytest

from earmark.schemas.errors import JobError
from tests.support.servers.endpoint_clients import checked, server_without_key
from tests.support.servers.misbehaving_server import STALL, Answer, correct, page, refused


@pytest.fixture
def server(monkeypatch):
    with server_without_key(monkeypatch) as server:
        yield server


@pytest.mark.parametrize(
    ("listed", "answer", "message"),
    [
        (b'{"id": "a"}, {"id": "b"}', refused(404, "unknown"), "lists a, b, and not listener: .* has no such path or"),
        (
            b"",
            refused(400, "unknown"),
            r"lists nothing, and not listener: the server of listener refuses this request \(400: u",
        ),
    ],
)
def test_a_model_that_is_not_listed_is_tried_out(server, listed, answer, message):
    server.behave = lambda request: (
        Answer(b'{"data": [' + listed + b"]}") if request.path == "/models" else correct(request)
    )
    checked(server)
    assert server.paths() == ["/models", "/audio/transcriptions"]
    server.behave = lambda request: Answer(b'{"data": [' + listed + b"]}") if request.path == "/models" else answer
    with pytest.raises(JobError, match=message):
        checked(server)


def test_a_server_that_has_the_model_passes(server):
    checked(server)
    assert server.paths() == ["/models"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_a_list_of_models_passes(server, status):
    server.behave = lambda request: refused(status)
    checked(server)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            refused(401),
            r"model http://.*#listener: the server of listener requires a key \(401: says the server\); set",
        ),
        (refused(503), r"is busy or down \(503: says the server\)"),
        (page(), r"is not on a model server: http://.*/v1/models did not respond in JSON: <html>"),
        (Answer(b"{}"), r"/v1/models sent an unexpected response: \{\}"),
    ],
)
def test_an_error_of_the_server_is_one_line_before_the_job(server, answer, message):
    server.behave = lambda request: answer
    with pytest.raises(JobError, match=message) as raised:
        checked(server)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("answer", [STALL, Answer(b"{}", drip_s=0.02)])
def test_a_server_that_does_not_respond_in_time_is_one_line_before_the_job(server, answer):
    server.behave = lambda request: answer
    with pytest.raises(JobError, match=r"#listener cannot be reached: it did not respond in time; is the server up\?"):
        checked(server, timeout_s=0.2)


def test_a_model_in_geminis_list_is_found(server):
    server.behave = lambda request: Answer(b'{"data": [{"id": "models/listener"}]}')
    checked(server)
