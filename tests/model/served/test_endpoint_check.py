"""What of a served model can be known before the job."""

import pytest

from earmark.schemas.errors import JobError
from tests.support.servers.endpoint_clients import checked, server_without_key
from tests.support.servers.misbehaving_server import STALL, Answer, page, refused, well


@pytest.fixture
def server(monkeypatch):
    with server_without_key(monkeypatch) as server:
        yield server


@pytest.mark.parametrize(
    ("listed", "answer", "words"),
    [
        (b'{"id": "a"}, {"id": "b"}', refused(404, "unknown"), "lists a, b, and not listener: .* is no path and model"),
        (
            b"",
            refused(400, "unknown"),
            r"lists nothing, and not listener: the server of listener refuses this \(400: u",
        ),
    ],
)
def test_a_model_that_is_not_listed_is_tried_out(server, listed, answer, words):
    server.behave = lambda asked: Answer(b'{"data": [' + listed + b"]}") if asked.path == "/models" else well(asked)
    checked(server)
    assert server.paths() == ["/models", "/audio/transcriptions"]
    server.behave = lambda asked: Answer(b'{"data": [' + listed + b"]}") if asked.path == "/models" else answer
    with pytest.raises(JobError, match=words):
        checked(server)


def test_a_server_that_has_the_model_passes(server):
    checked(server)
    assert server.paths() == ["/models"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_a_list_of_models_passes(server, status):
    server.behave = lambda asked: refused(status)
    checked(server)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            refused(401),
            r"model http://.*#listener: the server of listener asks for a key \(401: says the server\); set",
        ),
        (refused(503), r"is busy or down \(503: says the server\)"),
        (page(), r"is not at a server of models: http://.*/v1/models did not answer in JSON: <html>"),
        (Answer(b"{}"), r"/v1/models answered something else than was asked for: \{\}"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_one_line_before_the_job(server, answer, words):
    server.behave = lambda asked: answer
    with pytest.raises(JobError, match=words) as raised:
        checked(server)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("answer", [STALL, Answer(b"{}", drip_s=0.02)])
def test_a_server_that_does_not_answer_in_time_is_one_line_before_the_job(server, answer):
    server.behave = lambda asked: answer
    with pytest.raises(JobError, match=r"#listener cannot be reached: it did not answer in time; is the server up\?"):
        checked(server, timeout_s=0.2)


def test_a_model_in_geminis_list_is_found(server):
    server.behave = lambda asked: Answer(b'{"data": [{"id": "models/listener"}]}')
    checked(server)
