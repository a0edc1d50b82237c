"""Names of served models: endpoints of OpenAI's protocol, on any server."""

import urllib.parse
from dataclasses import dataclass
from typing import Literal, TypeAlias

from earmark.schemas.errors import JobError

Protocol: TypeAlias = Literal["chat", "transcriptions"]
# The path names the protocol; the URL before it is the base of both.
PATHS: tuple[tuple[str, Protocol], ...] = (
    ("/chat/completions", "chat"),
    ("/audio/transcriptions", "transcriptions"),
)
EXAMPLE = "http://host:8000/v1/chat/completions#MODEL or …/v1/audio/transcriptions#MODEL"


@dataclass(frozen=True)
class Endpoint:
    """A served model.

    Attributes:
        name: Name as the user gave it: the URL, # and the model's name on the server. It holds no secret.
        base_url: URL without the path of the protocol.
        protocol: Kind of requests that the URL takes.
        model: Name of the model on the server.
    """

    name: str
    base_url: str
    protocol: Protocol
    model: str

    @property
    def url(self) -> str:
        """URL that requests go to."""
        return self.name.partition("#")[0]

    @property
    def identity(self) -> str:
        """Name of the model in the output; only the server has the weights, so they cannot be identified."""
        return self.name


def names_endpoint(name: str) -> bool:
    """Whether `name` of --model means an endpoint, and not a folder on a web server."""
    url, has_model, _ = name.partition("#")
    return name.startswith(("http://", "https://")) and (bool(has_model) or _protocol(url) is not None)


def find_endpoint(name: str, flag: str = "--model") -> Endpoint:
    """The endpoint of a name such as "https://host/v1/chat/completions#MODEL"; no request is sent.

    Args:
        flag: Option that the name was given to.

    Raises:
        JobError: It names no endpoint, or holds a secret; the message has the remedy.
    """
    url, _, model = name.partition("#")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # whose message may hold a secret
        raise JobError(f"{flag} names a server that a URL cannot have; write {EXAMPLE}") from None
    bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if "@" in parts.netloc or "?" in name:
        raise JobError(f"{flag}={bare}: leave user, key and query out of the URL; EARMARK_API_KEY holds the key")
    protocol = _protocol(url)
    if protocol is None or not host or port == 0:
        raise JobError(f"{flag}={name} has no path of a protocol that earmark uses; write {EXAMPLE}")
    if not model:
        raise JobError(f"{flag}={name} does not name one of the server's models; write {bare}#MODEL")
    return Endpoint(name, url.removesuffix(_path(protocol)), protocol, model)


def _protocol(url: str) -> Protocol | None:
    return next((protocol for path, protocol in PATHS if url.endswith(path)), None)


def _path(protocol: Protocol) -> str:
    return next(path for path, served in PATHS if served == protocol)
