"""A Hugging Face hub on loopback that holds one model repository, and can cut connections."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.servers.json_server import JsonRequests, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "owner/name"


@contextlib.contextmanager
def serve_hub(files: Mapping[str, bytes], sizes: Mapping[str, int] | None = None, cut: str = "") -> Iterator[str]:
    """Address of a hub that has the files.

    Args:
        sizes: Sizes to list, where they are not those of `files`.
        cut: Requests whose path contains it lose their connection; "" for none.
    """
    listed = sizes or {name: len(content) for name, content in files.items()}

    class Requests(JsonRequests):
        def do_HEAD(self) -> None:  # noqa: N802 (http.server's name)
            self.send_file_headers()

        def do_GET(self) -> None:  # noqa: N802 (http.server's name)
            path = self.path.partition("?")[0]
            if cut and cut in path:
                self.close_connection = True
            elif path.startswith(f"/{REPOSITORY}/resolve/"):
                self.wfile.write(self.send_file_headers())
            elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
                self.send_json(
                    [{"type": "file", "path": name, "size": size, "oid": oid(name)} for name, size in listed.items()]
                )
            elif path.startswith(f"/api/models/{REPOSITORY}"):
                siblings = [{"rfilename": name, "size": size} for name, size in listed.items()]
                self.send_json({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings})
            else:
                self.send_json({"error": "Repository not found"}, 404)

        def send_file_headers(self) -> bytes:
            name = self.path.rpartition("/")[2]
            self.send_response(200)
            self.send_header("ETag", f'"{oid(name)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(files[name])))
            self.end_headers()
            return files[name]

    def oid(name: str) -> str:
        return f"{list(listed).index(name):040x}"

    with serving(Requests) as port:
        yield f"http://127.0.0.1:{port}"


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Points the hub's client at `address`, with `cache` as its folder."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
