"""What the client makes of a server that misbehaves; waits are those of OpenAI's client, or as short as told."""

import base64
import dataclasses
import logging
import threading
import time
import traceback

import pytest

from model.endpoint import find_endpoint
from model.endpoint_client import EndpointClient
from model.wav_file import wav_of
from schemas.errors import JobError, MachineError, RowError
from tests.clips import make_samples
from tests.misbehaving_server import (
    KEY,
    MODEL,
    STALL,
    Answer,
    in_turn,
    misbehaving_server,
    page,
    refused,
    said,
    tokens_of,
    well,
)

WAV = wav_of(make_samples(0.5, 0))
HEARD = "8000 samples, peak "
BUSY = Answer(b"{}", 503)  # without a word of when to come again


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("EARMARK_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with misbehaving_server() as server:
        yield server


def client_of(server, requests=8, timeout_s=5.0, **options):
    return EndpointClient(find_endpoint(server.transcriptions), requests, timeout_s, **options)


def asked_in_words(server, **options):
    text = {"type": "text", "text": "What?"}
    audio = {"type": "input_audio", "input_audio": {"data": base64_of(WAV), "format": "wav"}}
    client = EndpointClient(find_endpoint(server.chat), 8, 5.0)
    return client.chat([{"role": "user", "content": [audio, text]}], 17, **options)


def base64_of(wav):
    return base64.b64encode(wav).decode()


def checked(server, **options):
    client = client_of(server, **options)
    client.check(lambda: client.transcribe(WAV))


def refusal(server, kind, answer=None, **options):
    """What a client raises at the answer, which the server gives to everything but the list of models."""
    if answer:
        server.behave = in_turn(answer)
    with pytest.raises(kind) as raised:
        client_of(server, **options).transcribe(WAV)
    return raised.value


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
    message = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": base64_of(WAV)}}]}
    for _ in range(2):
        assert client.chat([message], 5, top_logprobs=20).text.startswith(HEARD)
    assert ["logprobs" in asked.fields for asked in server.asked] == [True, False, False]
    assert "labels have no scores: the server of listener refuses this (400: logprobs: not here)" in caplog.text


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_passes_is_asked_again(server, status):
    server.behave = in_turn(refused(status), refused(status), None)
    assert client_of(server).transcribe(WAV).startswith(HEARD)
    assert len(server.asked) == 3


def test_a_server_may_say_when_to_come_again(server):
    server.behave = in_turn(Answer(b"{}", 429, {"retry-after": "0.6"}), None)
    began = time.monotonic()
    client_of(server).transcribe(WAV)
    assert time.monotonic() - began > 0.6, "unasked, the client waits 0.375 to 0.5 s"


def test_without_being_told_waits_grow(server):
    server.behave = in_turn(BUSY, BUSY, None)
    began = time.monotonic()
    client_of(server).transcribe(WAV)
    assert 0.75 * (0.5 + 1.0) < time.monotonic() - began < 5


def test_a_server_that_is_busy_for_ever_is_the_machines_error(server):
    found = refusal(server, MachineError, refused(429, "one a day"))
    assert str(found) == "the server of listener is busy or down (429: one a day)"
    assert len(server.asked) == 7


def test_a_server_that_is_down_is_the_machines_error(server):
    server.behave = lambda asked: refused(500, "out of order")
    assert "is busy or down (500: out of order)" in str(refusal(server, MachineError))


def test_a_server_that_fails_on_one_recording_and_answers_others_fails_that_one(server):
    found = refusal(server, RowError, refused(500, "assert frames > 3"))
    assert (found.error, found.message) == (
        "server",
        "the server of listener fails on this, again and again (500: assert frames > 3)",
    )


def test_a_request_that_stalls_while_others_are_answered_is_that_requests_fault(server):
    found = refusal(server, RowError, STALL, timeout_s=0.2, retries=1)
    assert found.error == "timeout" and "did not answer within 0.2 s" in found.message
    assert server.paths().count("/audio/transcriptions") == 2


def test_a_server_that_stalls_altogether_is_the_machines_error(server):
    server.behave = lambda asked: STALL
    assert "did not answer within 0.2 s" in str(refusal(server, MachineError, timeout_s=0.2, retries=0))


def test_nobody_at_the_address_is_the_machines_error(server):
    nobody = dataclasses.replace(find_endpoint(server.transcriptions), base_url="http://127.0.0.1:9/v1")
    with pytest.raises(MachineError, match=r"cannot be reached: .*[Cc]onnection refused"):
        EndpointClient(nobody, 1, 5.0, retries=0).transcribe(WAV)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_a_server_refuses_is_the_recordings_failure_in_the_servers_words(server, status):
    found = refusal(server, RowError, refused(status, "too short\n\x1b[2J"))
    assert (found.error, found.message) == (
        "refused",
        f"the server of listener refuses this ({status}: too short \\x1b[2J)",
    )
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_who_has_no_key_is_told_where_it_goes(server, status):
    assert "asks for a key" in str(refusal(server, JobError, refused(status)))
    assert "set EARMARK_API_KEY, on every worker" in str(refusal(server, JobError, refused(status)))


def test_a_wrong_key_is_the_jobs_error(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert "does not let in who has the key in OPENAI_API_KEY (401:" in str(refusal(server, JobError, refused(401)))


def test_an_unknown_path_is_the_jobs_error(server):
    found = refusal(server, JobError, refused(404, "no model listener"))
    assert str(found) == f"{server.transcriptions} is no path and model of the server (404: no model listener)"


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
    assert [asked.key for asked in server.asked] == [key]


@pytest.mark.parametrize("ending", ["\x1b", "é", " \n x"])
def test_a_key_that_cannot_be_one_is_refused_without_a_word_of_it(server, monkeypatch, ending):
    monkeypatch.setenv("EARMARK_API_KEY", KEY + ending)
    with pytest.raises(JobError, match="EARMARK_API_KEY holds characters that no key has") as raised:
        client_of(server)
    assert KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error(server, monkeypatch, caplog, status):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EARMARK_API_KEY", KEY)
    server.behave = lambda asked: refused(status, f"nobody has the key {KEY}")
    found = refusal(server, Exception)
    assert "nobody has the key [key]" in str(found)
    assert KEY not in "".join(traceback.format_exception(found)) + caplog.text
    assert {asked.key for asked in server.asked} == {KEY}


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_nor_into_what_is_said_before_the_job(server, monkeypatch, caplog, status):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EARMARK_API_KEY", KEY)
    server.behave = lambda asked: refused(status, f"nobody has the key {KEY}")
    with pytest.raises(JobError, match=r"nobody has the key \[key\]") as raised:
        checked(server)
    assert KEY not in "".join(traceback.format_exception(raised.value)) + caplog.text


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


def test_a_server_that_is_not_there_is_one_line_before_the_job(server):
    server.behave = lambda asked: STALL
    with pytest.raises(JobError, match=r"#listener cannot be reached: .*; is the server up\?"):
        checked(server, timeout_s=0.2)


def test_a_model_in_geminis_list_is_found(server):
    server.behave = lambda asked: Answer(b'{"data": [{"id": "models/listener"}]}')
    checked(server)
