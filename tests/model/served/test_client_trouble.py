"""Errors of a server in trouble, as the client raises them; waits are OpenAI's client's, or as the server sets them."""

import dataclasses
import time

import pytest

from earmark.model.served.client import EndpointClient
from earmark.model.served.endpoint import find_endpoint
from earmark.schemas.errors import JobError, MachineError, RowError
from tests.support.servers.endpoint_clients import DESCRIPTION, WAV, client_of, refusal, server_without_key
from tests.support.servers.misbehaving_server import CUT, STALL, Answer, in_turn, refused

BUSY = Answer(b"{}", 503)  # without Retry-After


@pytest.fixture
def server(monkeypatch):
    with server_without_key(monkeypatch) as server:
        yield server


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_transient_errors_are_retried(server, status):
    server.behave = in_turn(refused(status), refused(status), None)
    assert client_of(server).transcribe(WAV).startswith(DESCRIPTION)
    assert len(server.requests) == 3


def test_a_server_may_set_the_wait_before_a_retry(server):
    server.behave = in_turn(Answer(b"{}", 429, {"retry-after": "0.6"}), None)
    began = time.monotonic()
    client_of(server).transcribe(WAV)
    assert time.monotonic() - began > 0.6, "by itself, the client waits 0.375 to 0.5 s"


def test_waits_grow_where_the_server_does_not_set_them(server):
    server.behave = in_turn(BUSY, BUSY, None)
    began = time.monotonic()
    client_of(server).transcribe(WAV)
    assert 0.75 * (0.5 + 1.0) < time.monotonic() - began < 5


def test_a_server_that_is_busy_for_ever_is_the_machines_error(server):
    error = refusal(server, MachineError, refused(429, "one a day"))
    assert str(error) == "the server of listener is busy or down (429: one a day)"
    assert len(server.requests) == 7


def test_a_server_that_is_down_is_the_machines_error(server):
    server.behave = lambda request: refused(500, "out of order")
    assert "is busy or down (500: out of order)" in str(refusal(server, MachineError))


def test_a_server_that_fails_on_one_recording_and_answers_others_fails_that_one(server):
    error = refusal(server, RowError, refused(500, "assert frames > 3"))
    assert (error.error, error.message) == (
        "server",
        "the server of listener fails on this request, despite retries (500: assert frames > 3)",
    )


def test_a_request_that_stalls_while_others_are_answered_is_that_requests_fault(server):
    error = refusal(server, RowError, STALL, timeout_s=0.2, retries=1)
    assert error.error == "timeout" and "did not respond within 0.2 s" in error.message
    assert server.paths().count("/audio/transcriptions") == 2


def test_a_server_that_stalls_altogether_is_the_machines_error(server):
    server.behave = lambda request: STALL
    assert "did not respond within 0.2 s" in str(refusal(server, MachineError, timeout_s=0.2, retries=0))


@pytest.mark.parametrize("drip_s", [0.02, 0.0005])  # in the middle of the headers, and of the body
def test_a_server_that_drips_has_no_more_time_than_one_that_stalls(server, drip_s):
    began = time.monotonic()
    error = refusal(server, RowError, Answer(b" " * 10_000, drip_s=drip_s), timeout_s=0.5, retries=1)
    assert error.error == "timeout" and "did not respond within 0.5 s" in error.message
    assert server.paths().count("/audio/transcriptions") == 2
    assert time.monotonic() - began < 4, "two times 0.5 s and a wait of at most 0.5 s"


def test_a_server_that_drips_every_response_is_the_machines_error(server):
    server.behave = lambda request: Answer(b" " * 1000, drip_s=0.02)
    assert "did not respond within 0.2 s" in str(refusal(server, MachineError, timeout_s=0.2, retries=0))


def test_a_connection_that_the_server_cuts_is_retried_and_then_the_machines_error(server):
    server.behave = in_turn(CUT, None)
    assert client_of(server).transcribe(WAV).startswith(DESCRIPTION)
    error = refusal(server, MachineError, CUT, retries=0)
    assert str(error).startswith("the server of listener cannot be reached: peer closed connection")


def test_an_address_without_a_server_is_the_machines_error(server):
    nobody = dataclasses.replace(find_endpoint(server.transcriptions), base_url="http://127.0.0.1:9/v1")
    with pytest.raises(MachineError, match=r"cannot be reached: .*Connect call failed"):
        EndpointClient(nobody, 1, 5.0, retries=0).transcribe(WAV)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_is_the_recordings_failure_with_the_servers_message(server, status):
    error = refusal(server, RowError, refused(status, "too short\n\x1b[2J"))
    assert (error.error, error.message) == (
        "refused",
        f"the server of listener refuses this request ({status}: too short \\x1b[2J)",
    )
    assert len(server.requests) == 1


def test_an_unknown_path_is_the_jobs_error(server):
    error = refusal(server, JobError, refused(404, "no model listener"))
    assert str(error) == f"{server.transcriptions}: the server has no such path or model (404: no model listener)"
