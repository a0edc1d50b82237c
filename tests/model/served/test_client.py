"""Requests that the client sends to a server, and the responses that it reads."""

import logging
import threading

import pytest

from earmark.model.served.client import EndpointClient
from earmark.model.served.endpoint import find_endpoint
from earmark.model.served.wav import wav_of
from earmark.schemas.errors import MachineError, RowError
from tests.support.audio.clips import make_samples
from tests.support.servers.endpoint_clients import (
    DESCRIPTION,
    WAV,
    client_of,
    question,
    refusal,
    send_chat,
    server_without_key,
)
from tests.support.servers.misbehaving_server import (
    MODEL,
    Answer,
    completion,
    correct,
    in_turn,
    page,
    refused,
    tokens_of,
)


@pytest.fixture
def server(monkeypatch):
    with server_without_key(monkeypatch) as server:
        yield server


def test_chat_sends_the_messages_and_reads_the_reply(server):
    reply = send_chat(server)
    assert (reply.text[: len(DESCRIPTION)], reply.tokens, reply.finish_reason) == (
        DESCRIPTION,
        None,
        "stop",
    )
    (request,) = server.requests
    assert (request.prompt, request.fields) == ("What?", {"model": MODEL, "max_tokens": 17, "temperature": 0})


def test_requests_for_transcriptions_and_translations_have_the_documented_fields(server):
    client = client_of(server)
    assert client.transcribe(WAV, "de").startswith(DESCRIPTION)
    assert client.transcribe(WAV).startswith(DESCRIPTION)
    assert client.translate(WAV).startswith(DESCRIPTION)
    assert server.paths() == ["/audio/transcriptions", "/audio/transcriptions", "/audio/translations"]
    fields = {"model": MODEL, "response_format": "json", "temperature": "0"}
    assert [request.fields for request in server.requests] == [{**fields, "language": "de"}, fields, fields]


def test_the_likeliest_tokens_are_read_where_the_server_returns_them(server):
    server.behave = lambda request: completion(
        "joy!", logprobs=tokens_of([("joy", 0.75), ("fear", 0.25)], [("!", 1.0)])
    )
    reply = send_chat(server, top_logprobs=20)
    assert (server.requests[0].fields["logprobs"], server.requests[0].fields["top_logprobs"]) == (True, 20)
    first, second = reply.tokens
    assert (first.chosen.text, second.chosen.text) == (b"joy", b"!")
    assert [candidate.text for candidate in first.likeliest] == [b"joy", b"fear"]
    assert first.likeliest[1].logprob == pytest.approx(-1.386294)


@pytest.mark.parametrize("answer", [completion("joy", logprobs=None), completion("joy", logprobs={"content": None})])
def test_a_server_may_ignore_the_request_for_logprobs(server, answer):
    server.behave = in_turn(answer)
    assert send_chat(server, top_logprobs=20).tokens is None


def test_a_server_that_refuses_logprobs_gets_later_requests_without(server, caplog):
    caplog.set_level(logging.INFO, "earmark")
    server.behave = lambda request: (
        refused(400, "logprobs: not here") if "logprobs" in request.fields else correct(request)
    )
    client = EndpointClient(find_endpoint(server.chat), 8, 5.0)
    for _ in range(2):
        assert client.chat([question("What?")], 5, top_logprobs=20).text.startswith(DESCRIPTION)
    assert ["logprobs" in request.fields for request in server.requests] == [True, False, False]
    assert "labels have no scores: the server of listener refuses this request (400: logprobs: not here)" in caplog.text


def test_html_instead_of_json_is_not_the_recordings_fault(server):
    error = refusal(server, MachineError, page())
    page_text = "<html><body>Sign in \\x1b[31m here</body></html>"
    assert str(error) == f"the server of listener did not respond in JSON: {page_text}"
    assert "(400: <html><body>Sign in" in refusal(server, RowError, page(400)).message


@pytest.mark.parametrize("body", [b"", b'{"text": "cut'])
def test_half_an_answer_is_not_the_recordings_fault(server, body):
    assert "did not respond in JSON" in str(refusal(server, MachineError, Answer(body)))


@pytest.mark.parametrize("body", [b"[]", b'{"text": null}', b'{"error": {"message": "overloaded"}}'])
def test_a_response_of_another_shape_is_shown(server, body):
    error = refusal(server, RowError, Answer(body))
    assert error.error == "answer"
    assert error.message == f"the server of listener sent an unexpected response: {body.decode()}"


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_choices_than_one_is_the_recordings_failure(server, count):
    choice = b'{"message": {"content": "x"}}'
    server.behave = lambda request: Answer(b'{"choices": [' + b", ".join([choice] * count) + b"]}")
    with pytest.raises(RowError, match=f"returned {count} choices instead of one"):
        send_chat(server)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (completion(None, refusal="I would rather not"), "does not answer: I would rather not"),
        (completion(None, "content_filter"), "does not answer: its content filter stopped"),
    ],
)
def test_an_answer_that_is_refused_is_the_recordings_failure(server, answer, message):
    server.behave = in_turn(answer)
    with pytest.raises(RowError, match=message):
        send_chat(server)


def test_no_more_requests_are_in_flight_than_allowed_over_all_threads(server):
    server.take_s = 0.01
    client, texts = client_of(server, requests=3), {}

    def transcribe_all(name):
        texts[name] = client.send_all(lambda seconds: client.transcribe(wav_of(make_samples(seconds, 0))), LENGTHS_S)

    threads = [threading.Thread(target=transcribe_all, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 < server.most_at_once <= 3
    in_order = [f"{round(16_000 * seconds)} samples" for seconds in LENGTHS_S]
    assert [[text.split(",")[0] for text in texts[name]] for name in "ab"] == [in_order, in_order]


LENGTHS_S = [0.9 - 0.02 * number for number in range(30)]  # the first take longest
