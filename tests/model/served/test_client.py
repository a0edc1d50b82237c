"""What the client asks a server, and what it reads of the answer."""

import logging
import threading

import pytest

from earmark.model.served.client import EndpointClient
from earmark.model.served.endpoint import find_endpoint
from earmark.model.served.wav import wav_of
from earmark.schemas.errors import MachineError, RowError
from tests.support.audio.clips import make_samples
from tests.support.servers.endpoint_clients import (
    HEARD,
    WAV,
    asked_in_words,
    client_of,
    question,
    refusal,
    server_without_key,
)
from tests.support.servers.misbehaving_server import MODEL, Answer, in_turn, page, refused, said, tokens_of, well


@pytest.fixture
def server(monkeypatch):
    with server_without_key(monkeypatch) as server:
        yield server


def test_chat_sends_what_it_is_given_and_reads_the_answer(server):
    reply = asked_in_words(server)
    assert (reply.text[: len(HEARD)], reply.tokens, reply.finish_reason) == (HEARD, None, "stop")
    (asked,) = server.asked
    assert (asked.prompt, asked.fields) == ("What?", {"model": MODEL, "max_tokens": 17, "temperature": 0})


def test_transcriptions_and_translations_are_asked_with_what_is_known(server):
    client = client_of(server)
    assert client.transcribe(WAV, "de").startswith(HEARD)
    assert client.transcribe(WAV).startswith(HEARD)
    assert client.translate(WAV).startswith(HEARD)
    assert server.paths() == ["/audio/transcriptions", "/audio/transcriptions", "/audio/translations"]
    known = {"model": MODEL, "response_format": "json", "temperature": "0"}
    assert [asked.fields for asked in server.asked] == [{**known, "language": "de"}, known, known]


def test_the_likeliest_tokens_are_read_where_the_server_tells_them(server):
    server.behave = lambda asked: said("joy!", logprobs=tokens_of([("joy", 0.75), ("fear", 0.25)], [("!", 1.0)]))
    reply = asked_in_words(server, top_logprobs=20)
    assert (server.asked[0].fields["logprobs"], server.asked[0].fields["top_logprobs"]) == (True, 20)
    first, second = reply.tokens
    assert (first.written.text, second.written.text) == (b"joy", b"!")
    assert [candidate.text for candidate in first.likeliest] == [b"joy", b"fear"]
    assert first.likeliest[1].logprob == pytest.approx(-1.386294)


@pytest.mark.parametrize("answer", [said("joy", logprobs=None), said("joy", logprobs={"content": None})])
def test_a_server_may_pass_over_the_wish_for_logprobs(server, answer):
    server.behave = in_turn(answer)
    assert asked_in_words(server, top_logprobs=20).tokens is None


def test_a_server_that_refuses_logprobs_is_asked_without_from_then_on(server, caplog):
    caplog.set_level(logging.INFO, "earmark")
    server.behave = lambda asked: refused(400, "logprobs: not here") if "logprobs" in asked.fields else well(asked)
    client = EndpointClient(find_endpoint(server.chat), 8, 5.0)
    for _ in range(2):
        assert client.chat([question("What?")], 5, top_logprobs=20).text.startswith(HEARD)
    assert ["logprobs" in asked.fields for asked in server.asked] == [True, False, False]
    assert "labels have no scores: the server of listener refuses this (400: logprobs: not here)" in caplog.text


def test_html_instead_of_json_is_not_the_recordings_fault(server):
    found = refusal(server, MachineError, page())
    assert (
        str(found) == "the server of listener did not answer in JSON: <html><body>Sign in \\x1b[31m here</body></html>"
    )
    assert "(400: <html><body>Sign in" in refusal(server, RowError, page(400)).message


@pytest.mark.parametrize("body", [b"", b'{"text": "cut'])
def test_half_an_answer_is_not_the_recordings_fault(server, body):
    assert "did not answer in JSON" in str(refusal(server, MachineError, Answer(body)))


@pytest.mark.parametrize("body", [b"[]", b'{"text": null}', b'{"error": {"message": "overloaded"}}'])
def test_an_answer_of_another_shape_is_shown(server, body):
    found = refusal(server, RowError, Answer(body))
    assert found.error == "answer"
    assert found.message == f"the server of listener answered something else than was asked for: {body.decode()}"


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_choices_than_one_is_the_recordings_failure(server, count):
    choice = b'{"message": {"content": "x"}}'
    server.behave = lambda asked: Answer(b'{"choices": [' + b", ".join([choice] * count) + b"]}")
    with pytest.raises(RowError, match=f"answered with {count} choices and not with one"):
        asked_in_words(server)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (said(None, refusal="I would rather not"), "does not answer: I would rather not"),
        (said(None, "content_filter"), "does not answer: its filter of content stopped"),
    ],
)
def test_an_answer_that_is_refused_is_the_recordings_failure(server, answer, words):
    server.behave = in_turn(answer)
    with pytest.raises(RowError, match=words):
        asked_in_words(server)


def test_no_more_requests_are_open_than_allowed_whoever_asks(server):
    server.take_s = 0.01
    client, found = client_of(server, requests=3), {}

    def ask(name):
        found[name] = client.each(lambda seconds: client.transcribe(wav_of(make_samples(seconds, 0))), LENGTHS_S)

    threads = [threading.Thread(target=ask, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 < server.most_at_once <= 3
    in_order = [f"{round(16_000 * seconds)} samples" for seconds in LENGTHS_S]
    assert [[text.split(",")[0] for text in found[name]] for name in "ab"] == [in_order, in_order]


LENGTHS_S = [0.9 - 0.02 * number for number in range(30)]  # the first take longest
