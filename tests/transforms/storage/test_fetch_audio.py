"""Fetching from a server of our own on loopback, and from memory."""

import http.server
import threading
import zipfile
from pathlib import Path

import fsspec
import pytest

from earmark.schemas.errors import MachineError, RowError
from earmark.transforms.storage.fetch_audio import fetch_audio

CONTENT = b"sound" * 1000
TIMEOUT_S = 3.0


@pytest.fixture
def server():
    """The address of a server: /good has CONTENT, /stall never ends, /forbidden is 403, /login 401, all else 404."""
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            self.send_response(
                {"good": 200, "stall": 200, "forbidden": 403, "login": 401}.get(name.partition(".")[0], 404)
            )
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            if name.startswith("stall"):
                self.wfile.write(CONTENT[:100])
                self.wfile.flush()
                over.wait()
            else:
                self.wfile.write(CONTENT)

        def log_message(self, format, *arguments):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    over.set()
    served.shutdown()
    thread.join()
    served.server_close()


def outcome(result):
    if isinstance(result, RowError):
        return result.error
    with open(result, "rb") as file:
        return file.read()


def test_only_an_object_that_stalls_fails(server, tmp_path):
    pytest.importorskip("aiohttp")
    uris = [f"{server}/{name}" for name in ("good.wav", "stall.wav", "none.wav", "forbidden.wav", "good.mp3")]
    results = fetch_audio(uris, str(tmp_path), TIMEOUT_S)
    assert [outcome(result) for result in results] == [CONTENT, "fetch_timeout", "not_found", "fetch_failed", CONTENT]
    assert all(uri in result.message for uri, result in zip(uris, results, strict=True) if isinstance(result, RowError))


def test_results_are_in_order_whatever_they_come_from(server, tmp_path):
    pytest.importorskip("aiohttp")
    fsspec.filesystem("memory").pipe("/store/b.wav", b"b")
    (tmp_path / "c.wav").write_bytes(b"c")
    uris = [
        f"{server}/none.wav",
        "memory://store/b.wav",
        str(tmp_path / "c.wav"),
        f"{server}/good.wav",
        "memory://store/missing.wav",
        f"file://{tmp_path}/c.wav",
        "nowhere://a.wav",
    ]
    expected = ["not_found", b"b", b"c", CONTENT, "not_found", b"c", "unsupported_scheme"]
    (tmp_path / "copies").mkdir()
    assert [outcome(result) for result in fetch_audio(uris, str(tmp_path / "copies"), TIMEOUT_S)] == expected


def test_local_files_stay_where_they_are(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"a")
    (tmp_path / "copies").mkdir()
    assert fetch_audio([str(tmp_path / "a.wav")], str(tmp_path / "copies"), TIMEOUT_S) == [str(tmp_path / "a.wav")]
    assert list((tmp_path / "copies").iterdir()) == []


def test_the_same_name_in_two_archives_is_two_recordings(tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    for name in ("a", "b"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("clip.wav", name)
    uris = [f"zip://clip.wav::file://{tmp_path}/{name}.zip" for name in ("a", "b", "missing", "broken")]
    expected = [b"a", b"b", "not_found", "fetch_failed"]
    assert [outcome(result) for result in fetch_audio(uris, str(tmp_path), TIMEOUT_S)] == expected


def test_the_message_of_a_missing_file_has_a_remedy(tmp_path):
    (result,) = fetch_audio([str(tmp_path / "none.wav")], str(tmp_path), TIMEOUT_S)
    assert result.message == f"there is no {str(tmp_path / 'none.wav')!r}; look at the manifest, or --audio_root"


def fetch_where_the_store_raises(error, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/store/a.wav", b"a")

    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(type(memory), "get_file", refuse)
    (result,) = fetch_audio(["memory://store/a.wav"], str(tmp_path), TIMEOUT_S)
    return result


class ClientError(Exception):
    """Like the errors of store clients, whose details are attributes."""

    def __init__(self, **attributes):
        super().__init__("the answer is\nno")
        vars(self).update(attributes)


class AuthError(Exception):
    """Called as Google's, which is not imported for it."""


AuthError.__module__, AuthError.__qualname__ = "google.auth.exceptions", "GoogleAuthError"


def hidden(cause):
    """An error as of s3fs: its own PermissionError, whose cause is botocore's."""
    error = PermissionError("denied")
    error.__cause__ = cause
    return error


def botocores(code):
    return hidden(ClientError(response={"Error": {"Code": code}}))


@pytest.mark.parametrize(
    "error",
    [
        ClientError(code=401),
        ClientError(status=401),
        type("RefreshError", (AuthError,), {})("expired"),
        botocores("ExpiredToken"),
    ],
)
def test_expired_credentials_are_the_machines(tmp_path, monkeypatch, error):
    with pytest.raises(MachineError, match=r"^no valid credentials to read 'memory://store/a\.wav' \(.*sign in again"):
        fetch_where_the_store_raises(error, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError(code=403), "fetch_failed"),
        (ClientError(status=404), "fetch_failed"),
        (botocores("AccessDenied"), "permission_denied"),
        (EOFError(), "fetch_failed"),
        (KeyError("what no one expects"), "fetch_failed"),
    ],
)
def test_any_other_error_of_a_client_fails_its_recording_only(tmp_path, monkeypatch, error, code):
    result = fetch_where_the_store_raises(error, tmp_path, monkeypatch)
    assert result.error == code
    assert "\n" not in result.message


def test_a_web_page_that_needs_a_login_fails_its_recording_only(server, tmp_path):
    pytest.importorskip("aiohttp")
    good, login = fetch_audio([f"{server}/good.wav", f"{server}/login.wav"], str(tmp_path), TIMEOUT_S)
    assert Path(good).read_bytes() == CONTENT
    assert login.error == "fetch_failed" and "401" in login.message


def test_transient_errors_are_retried(tmp_path, monkeypatch):
    memory, errors = fsspec.filesystem("memory"), [ConnectionResetError(), TimeoutError()]
    memory.pipe("/store/a.wav", b"a")
    get_file = type(memory).get_file

    def get(*arguments, **options):
        if errors:
            raise errors.pop()
        return get_file(*arguments, **options)

    monkeypatch.setattr(type(memory), "get_file", get)
    (result,) = fetch_audio(["memory://store/a.wav"], str(tmp_path), TIMEOUT_S)
    assert outcome(result) == b"a" and not errors


def test_a_full_disk_is_raised_so_that_the_runner_tries_elsewhere(tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/store/full.wav", b"a")

    def full(*arguments, **options):
        raise OSError(28, "No space errors on device")

    monkeypatch.setattr(type(memory), "get_file", full)
    with pytest.raises(MachineError, match=r"this machine cannot continue.*No space errors on device"):
        fetch_audio(["memory://store/full.wav"], str(tmp_path), TIMEOUT_S)
