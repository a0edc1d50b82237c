"""Models that a server answers for: any endpoint that speaks OpenAI's protocol."""

import urllib.parse
from dataclasses import dataclass
from typing import Literal, TypeAlias

from earmark.schemas.errors import JobError

Protocol: TypeAlias = Literal["chat", "transcriptions"]
# The path says which protocol is spoken, the rest of the URL is what both have in common.
PATHS: tuple[tuple[str, Protocol], ...] = (
    ("/chat/completions", "chat"),
    ("/audio/transcriptions", "transcriptions"),
)
EXAMPLE = "http://host:8000/v1/chat/completions#MODEL or …/v1/audio/transcriptions#MODEL"


@dataclass(frozen=True)
class Endpoint:
    """Where a model is served.

    Attributes:
        name: what the user called it: the URL that is asked, # and the model's name there. It holds no secret.
        base_url: the URL without the path of the protocol.
        model: the model's name at the server.
    """

    name: str
    base_url: str
    protocol: Protocol
    model: str

    @property
    def url(self) -> str:
        """What is asked."""
        return self.name.partition("#")[0]

    @property
    def identity(self) -> str:
        """What names the model in the output: nobody but the server knows which weights it has."""
        return self.name


def names_endpoint(name: str) -> bool:
    """Whether `name` of --model is meant to be an endpoint's, and not that of a folder that a web server holds."""
    url, has_model, _ = name.partition("#")
    return name.startswith(("http://", "https://")) and (bool(has_model) or _protocol(url) is not None)


def find_endpoint(name: str, flag: str = "--model") -> Endpoint:
    """The endpoint that `name` stands for, such as "https://host/v1/chat/completions#MODEL"; asks nobody.

    Args:
        flag: which option named it.

    Raises:
        JobError: it names none, or holds a secret, with what to do.
    """
    url, _, model = name.partition("#")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # whose words may hold a secret
        raise JobError(f"{flag} names a server that no URL can have; write {EXAMPLE}") from None
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if "@" in parts.netloc or "?" in name:
        raise JobError(f"{flag}={shown}: leave user, key and query out of the URL; EARMARK_API_KEY holds the key")
    protocol = _protocol(url)
    if protocol is None or not host or port == 0:
        raise JobError(f"{flag}={name} names no path that earmark knows; write {EXAMPLE}")
    if not model:
        raise JobError(f"{flag}={name} does not say which of the server's models; write {shown}#MODEL")
    return Endpoint(name, url.removesuffix(_path(protocol)), protocol, model)


def _protocol(url: str) -> Protocol | None:
    return next((protocol for path, protocol in PATHS if url.endswith(path)), None)


def _path(protocol: Protocol) -> str:
    return next(path for path, known in PATHS if known == protocol)
