"""An object store that is a folder of this machine, so that processes can share it."""

import io
import json
import threading
from pathlib import Path

import fsspec

FILES = {"config.json": b"{}", "model-1.safetensors": b"weights" * 1000, "model-2.safetensors": b"more" * 1000}


class StuckFile(io.FileIO):
    """Never comes to its end."""

    def read(self, *_):
        threading.Event().wait()


class DiskStore(fsspec.AbstractFileSystem):
    """`disk:///folder`; it lists what `sums.json` in the folder says of files, and logs which are read.

    A file of which it says "stuck" never comes to its end.
    """

    protocol = "disk"

    def ls(self, path, detail=True, **_):
        sums = json.loads((Path(path) / "sums.json").read_text())
        paths = [path for path in sorted(Path(path).iterdir()) if path.name not in ("sums.json", "reads.log")]
        entries = [
            {
                "name": str(path),
                "size": path.stat().st_size,
                "type": "directory" if path.is_dir() else "file",
                "mtime": path.stat().st_mtime_ns,
                **sums.get(path.name, {}),
            }
            for path in paths
        ]
        return entries if detail else [entry["name"] for entry in entries]

    def _open(self, path, mode="rb", **_):
        with open(Path(path).parent / "reads.log", "a") as log:
            log.write(f"{Path(path).name}\n")
        listed = json.loads((Path(path).parent / "sums.json").read_text()).get(Path(path).name, {})
        return StuckFile(path) if listed.get("stuck") else open(path, mode)


fsspec.register_implementation("disk", DiskStore)


def make_store(folder: Path) -> Path:
    """Puts a model there, and files that no engine reads."""
    folder.mkdir()
    for name, content in {**FILES, "README.md": b"not read", "pytorch_model.bin": b"never read"}.items():
        (folder / name).write_bytes(content)
    (folder / "sums.json").write_text("{}")
    return folder


def reads(store: Path) -> list[str]:
    """The files that were read, once for each time."""
    return (store / "reads.log").read_text().split() if (store / "reads.log").exists() else []


def list_as(store: Path, name: str, **sums: object) -> None:
    """Has the store list one file with this, and the others plainly."""
    (store / "sums.json").write_text(json.dumps({name: sums}))
