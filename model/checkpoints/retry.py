"""What the clients of object stores raise: what of it passes by itself and is tried again, and what does not.

Told by names and codes, so that no client has to be imported. Clients try again by themselves too (gcsfs six times,
botocore five), but not everything: s3fs gives up on a file of more than 50 MB at the first answer that is cut short.
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
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs, with the stack, what it then raises

ATTEMPTS = 5
# An attempt takes a client half a minute where a store refuses all it is asked; within two, a lease lives on.
GIVE_UP_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0

# 409: S3 says so of an object that another is creating at this moment.
TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
TRANSIENT_ERRORS = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",  # the answer is shorter than its header says
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "botocore.parsers.ResponseParserError",
        "google.auth.exceptions.TransportError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "requests.exceptions.ChunkedEncodingError",
    }
)
# What stores answer where the credentials have expired or there are none; to have too few rights is another matter.
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
    """Whether the same may go well a moment later: a busy store, a broken connection, half an answer."""
    return any(
        not _kinds(one).isdisjoint(TRANSIENT_ERRORS) or not TRANSIENT_STATUSES.isdisjoint(_codes(one))
        for one in _causes(error)
    )


def is_about_credentials(error: BaseException) -> bool:
    return any(
        not _kinds(one).isdisjoint(CREDENTIAL_ERRORS) or not CREDENTIAL_CODES.isdisjoint(_codes(one))
        for one in _causes(error)
    )


def is_forbidden(error: BaseException) -> bool:
    """Whether a file system says that the rights are missing; gcsfs has no class for it."""
    return isinstance(error, PermissionError) or (isinstance(error, OSError) and str(error).startswith("Forbidden:"))


def is_from_store(error: BaseException) -> bool:
    """Whether it is a store's answer; s3fs gives those that it does not know the error number of a broken disk."""
    return any(_codes(one) for one in _causes(error))


# Decorates a function, a coroutine too: what is_transient is tried again, after waits that grow and that differ between
# workers; the last error is raised as it is.
retry_transient = retry(
    retry=retry_if_exception(is_transient),
    wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
    stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(GIVE_UP_S),
    before_sleep=before_sleep_log(log, logging.DEBUG),
    reraise=True,
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; s3fs hides there what the store said."""
    while error is not None:
        yield error
        error = error.__cause__


def _kinds(error: BaseException) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}


def _codes(error: BaseException) -> set[int | str]:
    """HTTP statuses and codes of S3 that an error carries."""
    response = getattr(error, "response", None)
    found = [getattr(error, name, None) for name in ("code", "status", "status_code")]
    found.append(getattr(response, "status_code", None))  # requests, httpx
    if isinstance(response, dict):  # botocore
        found.append(response.get("Error", {}).get("Code"))
        found.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    return {int(code) if str(code).isdecimal() else code for code in found if isinstance(code, (int, str))}
