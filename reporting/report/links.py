"""Where a browser finds the audio of a row, if it can."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from fsspec.core import url_to_fs

from earmark.reporting.report.sample_rows import ShownRow

SIGNED_S = 7 * 24 * 3600  # the longest that Amazon's and Google's signatures are good for


@dataclass(frozen=True, slots=True)
class AudioLink:
    """An address, "" where there is none, and then why as a sentence.

    `scheme`: file, http or https, which the page must be allowed to play from.
    """

    url: str
    scheme: str = ""
    problem: str = ""


def audio_links(rows: Sequence[ShownRow], page: str, sign: bool) -> list[AudioLink]:
    """A link for each row.

    Args:
        page: path or URL of the page, which links to local files go from.
        sign: ask object stores for addresses that are good for SIGNED_S without credentials.
    """
    return [_link(row, page, sign) for row in rows]


def _link(row: ShownRow, page: str, sign: bool) -> AudioLink:
    uri = row.uri.removeprefix("file://")
    if "::" in uri or "#row=" in uri:
        return AudioLink("", problem="The audio lies in a container, which a browser cannot open.")
    if "://" not in uri:
        return _local(row, uri, page)
    scheme = uri.partition("://")[0]
    if scheme in ("http", "https"):
        return AudioLink(uri + _part(row), scheme)
    return _signed(row, uri, scheme) if sign else AudioLink("", problem=f"The audio is at a {scheme}:// address.")


def _local(row: ShownRow, path: str, page: str) -> AudioLink:
    """Relative to the page, so that a folder of both can be moved."""
    if "://" in page:
        return AudioLink("", problem="The audio is a file on the machine that annotated it.")
    folder = os.path.dirname(os.path.abspath(page))
    return AudioLink(quote(os.path.relpath(path, folder)) + _part(row), "file")


def _signed(row: ShownRow, uri: str, scheme: str) -> AudioLink:
    try:
        file_system, path = url_to_fs(uri)
        url = str(file_system.sign(path, expiration=SIGNED_S))
    except NotImplementedError:
        return AudioLink("", problem=f"Addresses of {scheme}:// cannot be signed.")
    except Exception as error:  # clients raise what they like where credentials are missing or may not sign
        said = " ".join(str(error).split()) or type(error).__name__
        return AudioLink("", problem=f"The address could not be signed ({said[:200]}).")
    scheme = url.partition("://")[0]
    if scheme not in ("http", "https"):
        return AudioLink("", problem=f"The signed address is of {scheme}://, which a browser does not open.")
    return AudioLink(url + _part(row), scheme)


def _part(row: ShownRow) -> str:
    """The part of a file that a row is of, as a media fragment (W3C Media Fragments URI 1.0)."""
    return f"#t={row.offset_s:g},{row.offset_s + row.duration_s:g}"
