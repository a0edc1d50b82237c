"""Links from the rows of a page to their audio, where a browser can open it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from fsspec.core import url_to_fs

from earmark.reporting.report.sample_rows import ReportRow
from earmark.schemas.locations import contained_name
from earmark.schemas.text import error_message

SIGNED_S = 7 * 24 * 3600  # longest lifetime of Amazon's and Google's signatures


@dataclass(frozen=True, slots=True)
class AudioLink:
    """A link to the audio of a row.

    Attributes:
        url: "" where a browser cannot open the audio.
        scheme: File, http or https, which the page's security policy must allow; "" without a URL.
        problem: Why there is no URL, as a sentence.
    """

    url: str
    scheme: str = ""
    problem: str = ""


def audio_links(rows: Sequence[ReportRow], page: str, sign: bool) -> list[AudioLink]:
    """Return a link for each row.

    Args:
        page: Path or URL of the page; links to local files are relative to it.
        sign: Whether to ask object stores for URLs that work for SIGNED_S without credentials.
    """
    return [_link(row, page, sign) for row in rows]


def _link(row: ReportRow, page: str, sign: bool) -> AudioLink:
    uri = row.uri.removeprefix("file://")
    if contained_name(uri):
        return AudioLink("", problem="The audio is inside a container file, which a browser cannot open.")
    if "://" not in uri:
        return _local(row, uri, page)
    scheme = uri.partition("://")[0]
    if scheme in ("http", "https"):
        return AudioLink(uri + _fragment(row), scheme)
    return (
        _signed(row, uri, scheme)
        if sign
        else AudioLink("", problem=f"The audio has a {scheme}:// URL, which a browser cannot open.")
    )


def _local(row: ReportRow, path: str, page: str) -> AudioLink:
    """A link relative to the page, so that a folder with both can be moved."""
    if "://" in page:
        return AudioLink("", problem="The audio is a local file on the machine that annotated it.")
    folder = os.path.dirname(os.path.abspath(page))
    return AudioLink(quote(os.path.relpath(path, folder)) + _fragment(row), "file")


def _signed(row: ReportRow, uri: str, scheme: str) -> AudioLink:
    try:
        file_system, path = url_to_fs(uri)
        url = str(file_system.sign(path, expiration=SIGNED_S))
    except NotImplementedError:
        return AudioLink("", problem=f"{scheme}:// URLs cannot be signed.")
    except Exception as error:  # store clients raise errors of any class where credentials are missing or may not sign
        return AudioLink("", problem=f"The URL could not be signed ({error_message(error)[:200]}).")
    scheme = url.partition("://")[0]
    if scheme not in ("http", "https"):
        return AudioLink("", problem=f"The signed URL uses {scheme}://, which a browser cannot open.")
    return AudioLink(url + _fragment(row), scheme)


def _fragment(row: ReportRow) -> str:
    """The annotated part of the file, as a media fragment (W3C Media Fragments URI 1.0)."""
    return f"#t={row.offset_s:g},{row.offset_s + row.duration_s:g}"
