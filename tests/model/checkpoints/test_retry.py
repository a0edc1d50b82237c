"""Errors of each store's client that are retried; tests/stores/test_stores.py has servers that cause them."""

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
    """The error that s3fs raises for a response of S3."""
    response = {"Error": {"Code": code, "Message": "a reason"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_boto_error(botocore.exceptions.ClientError(response, "GetObject"))


@pytest.mark.parametrize(
    "error",
    [
        HttpError({"code": 429}),
        HttpError({"code": "503"}),
        from_s3("SlowDown", 503),
        from_s3("TooManyRequests", 429),  # unknown to s3fs
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
def test_transient_errors_are_recognized(error):
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
def test_other_errors_are_not_transient(error):
    assert not is_transient(error)


def test_errors_of_credentials_rights_and_stores_are_recognized():
    assert is_about_credentials(from_s3("ExpiredToken", 400)) and is_about_credentials(HttpError({"code": "401"}))
    assert not is_about_credentials(from_s3("AccessDenied", 403))
    assert is_forbidden(from_s3("AccessDenied", 403)) and is_forbidden(OSError("Forbidden: gs://b\nno"))
    assert not is_forbidden(OSError("The disk is Forbidden: no"))
    assert from_s3("TooManyRequests", 429).errno == errno.EIO and is_from_store(from_s3("TooManyRequests", 429))
    assert not is_from_store(OSError(errno.EIO, "Input/output error"))


def tried(*outcomes):
    """A function that raises or returns the outcomes in turn, retried without waiting, and a list of its calls."""
    pending, calls = iter(outcomes), []

    def request():
        calls.append(None)
        outcome = next(pending)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    wrapped = retry_transient(request)
    wrapped.retry.wait = tenacity.wait_none()
    return wrapped, calls


def test_a_transient_error_is_retried_and_another_is_not():
    request, calls = tried(TimeoutError(), HttpError({"code": 503}), "found")
    assert request() == "found" and len(calls) == 3
    request, calls = tried(TimeoutError(), PermissionError("no"), "found")
    with pytest.raises(PermissionError):
        request()
    assert len(calls) == 2


def test_an_error_that_stays_is_raised_unchanged():
    request, calls = tried(*[TimeoutError(number) for number in range(ATTEMPTS)])
    with pytest.raises(TimeoutError, match=str(ATTEMPTS - 1)):
        request()
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
