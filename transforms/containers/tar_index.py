"""Indexes of tars, kept in the output, as reading the headers of a tar takes about one request for each member.

`_earmark/containers/<hash>.parquet` is derived, and may be removed at any time.
"""

import dataclasses
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.schemas.errors import JobError
from earmark.schemas.records import stable_hash
from earmark.transforms.containers.container_file import ContainerFile
from earmark.transforms.containers.tar_members import Member, read_members
from earmark.transforms.output.store import OutputStore, encode_table

FOLDER = "_earmark/containers"
FORMAT = "1"  # version of the index and of the rules for members; with another number all tars are read again
SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("name", pa.binary()),  # names in a tar, and so texts that quote them, may hold any bytes
        ("start", pa.int64()),
        ("size_bytes", pa.int64()),
        ("text", pa.binary()),
        ("problem", pa.binary()),
    ]
)


def index_members(store: OutputStore, tar: str, container: ContainerFile) -> list[Member]:
    """Members of a tar from its index in the output, which is written if it is missing for this version of the tar.

    Raises:
        JobError: The index is damaged; and as read_members.
        OSError: The tar or the output cannot be read or written.
    """
    if not container.has_version:
        return read_members(tar, container)
    members = indexed_members(store, tar, container)
    if members is None:
        members = read_members(tar, container)
        store.create(_path(tar, container), _encode(members))
    return members


def indexed_members(store: OutputStore, tar: str, container: ContainerFile) -> list[Member] | None:
    """Members of a tar from its index in the output; None if there is no index for this version of the tar.

    Raises:
        JobError: The index is damaged.
        OSError: The output cannot be read.
    """
    path = _path(tar, container)
    try:
        return _decode(store.read(path))
    except FileNotFoundError:
        return None
    except (pa.ArrowException, KeyError) as error:
        raise JobError(f"{store.root}/{path} is damaged ({error}); remove it, and start again") from error


def _path(tar: str, container: ContainerFile) -> str:
    return f"{FOLDER}/{stable_hash(FORMAT, tar, container.version)}.parquet"


def _encode(members: list[Member]) -> bytes:
    rows = [{name: _bytes(value) for name, value in dataclasses.asdict(member).items()} for member in members]
    return encode_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _decode(content: bytes) -> list[Member]:
    rows = pq.read_table(pa.BufferReader(content)).to_pylist()
    return [Member(**{name: _text(value) for name, value in row.items()}) for row in rows]


def _bytes(value: Any) -> Any:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
