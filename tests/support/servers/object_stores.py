"""Object stores on loopback: versitygw for s3://, fake-gcs-server for gs://; `make test-stores` builds both."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.support.paths import ROOT

PROGRAMS = ROOT / ".tools" / "bin"
KEY, SECRET = "earmark", "only-for-tests"
START_S = 30.0


@dataclass(frozen=True)
class ObjectStore:
    """A server with the protocol of a store.

    Attributes:
        scheme: "s3" or "gs".
        endpoint: URL of the server, such as "http://127.0.0.1:1234".
    """

    scheme: str
    endpoint: str

    def variables(self, endpoint: str = "") -> dict[str, str]:
        """The environment that leads a process to this store, or a proxy of it at `endpoint` (docs/manifests.md)."""
        if self.scheme == "gs":
            return {
                "STORAGE_EMULATOR_HOST": endpoint or self.endpoint,
                "FSSPEC_GS_TOKEN": "anon",
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            }
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def reach(self, monkeypatch: pytest.MonkeyPatch, endpoint: str = "") -> None:
        """Leads this process there, until the end of the test."""
        for name, value in self.variables(endpoint).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})  # fsspec has read its variables already
        fsspec.get_filesystem_class(self.scheme).clear_instance_cache()  # of another test, which led elsewhere

    def file_system(self) -> Any:
        """One of its own, which goes straight to the server, whatever the environment says."""
        options: dict[str, Any] = {"endpoint_url": self.endpoint, "token": "anon"}
        if self.scheme == "s3":
            options = {"endpoint_url": self.endpoint, "key": KEY, "secret": SECRET}
        return fsspec.filesystem(self.scheme, use_listings_cache=False, skip_instance_cache=True, **options)

    def make_bucket(self, name: str) -> str:
        """Its URL."""
        self.file_system().mkdir(name)
        return f"{self.scheme}://{name}"


@contextlib.contextmanager
def running_store(scheme: str, folder: Path) -> Iterator[ObjectStore]:
    """A server of its own, which is gone afterwards; `folder` is its to use."""
    store = ObjectStore(scheme, f"http://127.0.0.1:{free_port()}")
    command, variables = _start_command(store, folder)
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **variables})
        try:
            _wait_for(store.endpoint, server)
            yield store
        finally:
            server.kill()
            server.wait()


def _start_command(store: ObjectStore, folder: Path) -> tuple[list[str], Mapping[str, str]]:
    host, port = store.endpoint.removeprefix("http://").split(":")
    if store.scheme == "gs":
        address = ["-scheme", "http", "-host", host, "-port", port, "-external-url", store.endpoint]
        return [str(PROGRAMS / "fake-gcs-server"), *address, "-public-host", f"{host}:{port}", "-backend", "memory"], {}
    (folder / "buckets").mkdir()
    command = [str(PROGRAMS / "versitygw"), "--port", f"{host}:{port}", "posix", str(folder / "buckets")]
    return command, {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(endpoint: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert server.poll() is None and time.monotonic() < deadline, f"{server.args} did not start"
        try:
            urllib.request.urlopen(endpoint, timeout=5)
            return
        except urllib.error.HTTPError:  # an answer, if a refusal
            return
        except OSError:
            time.sleep(0.05)
