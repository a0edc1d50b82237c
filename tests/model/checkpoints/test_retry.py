"""Which errors of which client are tried again; tests/stores/test_stores.py has the servers to them."""

import asyncio
import errno

import aiohttp
import botocore.exceptions
import google.auth.exceptions
import pytest
import requests
import tenacity
from gcsfs.retry import HttpError
from s3fs.errors import translate_boto_error

from earmark.model.checkpoints.retry import (
    ATTEMPTS,
    is_about_credentials,
    is_forbidden,
    is_from_store,
    is_transient,
    retry_transient,
)


def from_s3(code, status):
    """As s3fs raises what S3 says."""
    said = {"Error": {"Code": code, "Message": "it said so"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_boto_error(botocore.exceptions.ClientError(said, "GetObject"))


@pytest.mark.parametrize(
    "error",
    [
        HttpError({"code": 429}),
        HttpError({"code": "503"}),
        from_s3("SlowDown", 503),
        from_s3("TooManyRequests", 429),  # which s3fs does not know
        from_s3("ConditionalRequestConflict", 409),
        aiohttp.ClientPayloadError("half an answer"),
        aiohttp.ServerDisconnectedError(),
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://store"),
        botocore.exceptions.ResponseStreamingError(error="cut"),
        google.auth.exceptions.TransportError("no network"),
        requests.exceptions.ConnectionError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_passes_by_itself(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        HttpError({"code": 404}),
        from_s3("AccessDenied", 403),
        from_s3("NoSuchKey", 404),
        from_s3("PreconditionFailed", 412),
        botocore.exceptions.NoCredentialsError(),
        google.auth.exceptions.RefreshError("expired"),
        FileNotFoundError(),
        PermissionError(),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("429"),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
def test_what_does_not(error):
    assert not is_transient(error)


def test_what_else_an_error_can_tell():
    assert is_about_credentials(from_s3("ExpiredToken", 400)) and is_about_credentials(HttpError({"code": "401"}))
    assert not is_about_credentials(from_s3("AccessDenied", 403))
    assert is_forbidden(from_s3("AccessDenied", 403)) and is_forbidden(OSError("Forbidden: gs://b\nno"))
    assert not is_forbidden(OSError("The disk is Forbidden: no"))
    assert from_s3("TooManyRequests", 429).errno == errno.EIO and is_from_store(from_s3("TooManyRequests", 429))
    assert not is_from_store(OSError(errno.EIO, "Input/output error"))


def tried(*outcomes):
    """A function that raises or returns one after the other, tried again without waiting, and a list of its calls."""
    left, calls = iter(outcomes), []

    def ask():
        calls.append(None)
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    wrapped = retry_transient(ask)
    wrapped.retry.wait = tenacity.wait_none()
    return wrapped, calls


def test_a_transient_error_is_tried_again_and_another_is_not():
    ask, calls = tried(TimeoutError(), HttpError({"code": 503}), "found")
    assert ask() == "found" and len(calls) == 3
    ask, calls = tried(TimeoutError(), PermissionError("no"), "found")
    with pytest.raises(PermissionError):
        ask()
    assert len(calls) == 2


def test_what_does_not_pass_is_raised_as_it_is():
    ask, calls = tried(*[TimeoutError(number) for number in range(ATTEMPTS)])
    with pytest.raises(TimeoutError, match=str(ATTEMPTS - 1)):
        ask()
    assert len(calls) == ATTEMPTS


def test_waits_grow_and_differ():
    state = tenacity.RetryCallState(retry_transient(print).retry, print, (), {})
    longest = []
    for number in range(1, ATTEMPTS):
        state.attempt_number = number
        waits = [retry_transient(print).retry.wait(state) for _ in range(200)]
        assert len(set(waits)) > 100
        longest.append(max(waits))
    assert longest == sorted(longest) and longest[-1] > 2 * longest[0]
