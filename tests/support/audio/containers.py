"""Tars and Parquet files of audio, and a file system that counts how much of them is opened and read."""

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Failure, Recording
from earmark.transforms.manifests.find import find_manifests
from earmark.transforms.output.store import OutputStore
from earmark.transforms.read_manifest import read_manifests

AUDIO = b"a" * 1000  # an audio file that no test decodes
MEMBERS = [("1.wav", AUDIO), ("1.json", b"{}"), ("2.wav", AUDIO), ("2.txt", b"two"), ("3.wav", AUDIO)]
HF_AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of plain files, in order."""
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            add_member(tar, name, content)
    return path


def add_member(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: Any) -> None:
    """Add a member whose header has these fields."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def samples_of(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, bytes]]:
    """Rows of a manifest, as jobs.write_tones makes them, as members of a tar: audio, json and txt of each."""
    members = []
    for row in rows:
        audio = Path(row["audio_filepath"])
        beside = {name: value for name, value in row.items() if name not in ("audio_filepath", "text")}
        members.append((audio.name, audio.read_bytes()))
        members.append((f"{audio.stem}.json", json.dumps(beside).encode()))
        members.append((f"{audio.stem}.txt", row["text"].encode()))
    return members


def write_audio_parquet(path: Path, rows: Sequence[Mapping[str, Any]], group_rows: int = 8, **options: Any) -> Path:
    """The same rows as Hugging Face's datasets write them."""
    audio = [{"bytes": Path(r["audio_filepath"]).read_bytes(), "path": Path(r["audio_filepath"]).name} for r in rows]
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "audio_filepath"}
    table = pa.table({**columns, "audio": pa.array(audio, HF_AUDIO)})
    pq.write_table(table, path, row_group_size=group_rows, **options)
    return path


def write_container(path: Path, rows: Sequence[Mapping[str, Any]], group_rows: int = 8) -> Path:
    """The same rows as a tar or a parquet, as the name ends; `group_rows` are those of a row group."""
    if path.suffix == ".tar":
        return write_tar(path, samples_of(rows))
    return write_audio_parquet(path, rows, group_rows)


def write_containers(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]], each: int = 10) -> str:
    """Write rows of a manifest into several containers of `each` rows; return their glob."""
    for number, first in enumerate(range(0, len(rows), each)):
        write_container(folder / f"{number}.{kind}", rows[first : first + each], group_rows=4)
    return str(folder / f"*.{kind}")


def read_rows(
    manifest: Path | str, shape: ManifestShape | None = None, store: OutputStore | None = None
) -> list[Recording | Failure]:
    return list(read_manifests(find_manifests(str(manifest)), shape or ManifestShape(), store=store))


def members_of(rows: Sequence[Recording | Failure]) -> list[str]:
    """The name of each recording's member of a tar; "!" for a failure."""
    return [row.uri.removeprefix("tar://").partition("::")[0] if isinstance(row, Recording) else "!" for row in rows]


class CountedFile(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        content = super().read(-1 if size is None else size)
        Counted.reads["bytes"] += len(content)
        return content


class Counted(fsspec.AbstractFileSystem):
    """`counted:///path`: local files as on a store with versions, without a cache."""

    protocol = "counted"
    reads: ClassVar[Counter[str]] = Counter()  # opens and bytes

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        status = os.stat(path)
        return {"name": path, "size": status.st_size, "type": "file", "etag": f"{status.st_mtime_ns}"}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> CountedFile:
        self.reads["opens"] += 1
        return CountedFile(path, mode)


fsspec.register_implementation("counted", Counted)
