"""Errors of object stores' clients: which are transient and retried, and which are not.

They are recognized by names and codes, so that no client has to be imported. Clients retry by themselves too (gcsfs six
times, botocore five), but not everything: s3fs gives up on a file of more than 50 MB at the first response that is cut.
"""

import logging
from collections.abc import Iterator

from tenacity import (
    before_sleep_log,
    retry,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

log = logging.getLogger("earmark")
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs its exceptions with their stacks before it raises them

ATTEMPTS = 5
# An attempt takes a client half a minute where a store refuses every request; a lease survives two minutes.
GIVE_UP_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0

# 409: S3's status for an object that another request is creating at this moment.
TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
TRANSIENT_ERRORS = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",  # the response is shorter than its header says
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "botocore.parsers.ResponseParserError",
        "google.auth.exceptions.TransportError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "requests.exceptions.ChunkedEncodingError",
    }
)
# Responses to missing or expired credentials; missing rights are another matter.
CREDENTIAL_CODES = frozenset({401, "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
CREDENTIAL_ERRORS = frozenset(
    {
        "google.auth.exceptions.GoogleAuthError",
        "botocore.exceptions.NoCredentialsError",
        "botocore.exceptions.PartialCredentialsError",
        "botocore.exceptions.CredentialRetrievalError",
        "botocore.exceptions.TokenRetrievalError",
        "botocore.exceptions.SSOError",
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether a retry may succeed: a busy store, a broken connection, a response cut short."""
    return any(
        not _kinds(cause).isdisjoint(TRANSIENT_ERRORS) or not TRANSIENT_STATUSES.isdisjoint(_codes(cause))
        for cause in _causes(error)
    )


def is_about_credentials(error: BaseException) -> bool:
    """Whether credentials are missing or have expired."""
    return any(
        not _kinds(cause).isdisjoint(CREDENTIAL_ERRORS) or not CREDENTIAL_CODES.isdisjoint(_codes(cause))
        for cause in _causes(error)
    )


def is_forbidden(error: BaseException) -> bool:
    """Whether rights are missing; gcsfs has no class for it."""
    return isinstance(error, PermissionError) or (isinstance(error, OSError) and str(error).startswith("Forbidden:"))


def is_from_store(error: BaseException) -> bool:
    """Whether it is a store's response; s3fs gives unknown ones the error number of a broken disk."""
    return any(_codes(cause) for cause in _causes(error))


# Decorator of functions and coroutines: transient errors are retried after waits that grow and differ between workers;
# the last error is raised unchanged.
retry_transient = retry(
    retry=retry_if_exception(is_transient),
    wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
    stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(GIVE_UP_S),
    before_sleep=before_sleep_log(log, logging.DEBUG),
    reraise=True,
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised from, among which s3fs hides the store's own."""
    while error is not None:
        yield error
        error = error.__cause__


def _kinds(error: BaseException) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}


def _codes(error: BaseException) -> set[int | str]:
    """HTTP statuses and S3 codes of an error."""
    response = getattr(error, "response", None)
    codes = [getattr(error, name, None) for name in ("code", "status", "status_code")]
    codes.append(getattr(response, "status_code", None))  # requests, httpx2
    if isinstance(response, dict):  # botocore
        codes.append(response.get("Error", {}).get("Code"))
        codes.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    return {int(code) if str(code).isdecimal() else code for code in codes if isinstance(code, (int, str))}
