"""Objects of an output: created once and whole, listed, and read back."""

import errno
import os
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import duckdb
import fsspec
import pandas as pd
import pyarrow.dataset
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from earmark.schemas.errors import JobError
from earmark.schemas.records import PartReport
from earmark.transforms.output.store import OutputStore, encode_table
from earmark.transforms.storage.file_system import StorageError
from tests.support.outputs.parts import FAILURE, make_part


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return OutputStore(str(tmp_path / "out") if request.param == "local" else f"memory://out-{uuid.uuid4().hex}")


def files_below(folder):
    return [name for _, _, names in os.walk(folder) for name in names]


def test_one_of_many_writers_creates_an_object_and_it_is_complete(tmp_path):
    store = OutputStore(str(tmp_path))
    contents = [bytes([number]) * 300_000 for number in range(16)]
    together = threading.Barrier(len(contents))

    def create(content):
        together.wait(30)
        return store.create("a/b/part", content)

    with ThreadPoolExecutor(len(contents)) as threads:
        created = list(threads.map(create, contents))
    assert created.count(True) == 1
    assert store.read("a/b/part") == contents[created.index(True)]
    assert files_below(tmp_path) == ["part"]


def test_an_existing_object_is_not_created_again_but_can_be_replaced(store):
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"
    store.replace("a/b", b"third")
    assert store.read("a/b") == b"third"


@pytest.mark.parametrize("write", ["create", "replace"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, write):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        getattr(OutputStore(str(tmp_path)), write)("annotations/ab/part-ab.parquet", b"content")
    assert files_below(tmp_path) == []


def test_a_failed_replacement_keeps_the_earlier_object(tmp_path, monkeypatch):
    store = OutputStore(str(tmp_path))
    store.replace("a", b"earlier")

    def fails(source, target):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="Input/output"):
        store.replace("a", b"later")
    assert files_below(tmp_path) == ["a"]
    assert store.read("a") == b"earlier"


def test_new_parts_are_listed_at_once(store):
    assert store.parts() == []
    for key in ("bb1", "aa1", "aa2"):
        OutputStore(store.root).create(store.part_path(key), make_part(key, []))
        assert store.part_path(key) in store.parts()
    assert store.parts() == [f"annotations/{key[:2]}/part-{key}.parquet" for key in ("aa1", "aa2", "bb1")]


class RemembersListings(MemoryFileSystem):
    """Lists a folder once and never again unless its cache is off, as gcsfs and s3fs do."""

    protocol = "remembers"

    def ls(self, path, **kwargs):
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, **kwargs)
        return self.dircache[path] if path in self.dircache else super().ls(path, **kwargs)


def test_listings_are_never_cached():
    fsspec.register_implementation("remembers", RemembersListings, clobber=True)
    store = OutputStore(f"remembers://out-{uuid.uuid4().hex}")
    assert store.parts() == []
    store.create(store.part_path("aa1"), make_part("aa1", []))
    assert store.parts() == [store.part_path("aa1")]


class Refusing(MemoryFileSystem):
    """Does nothing that the test names, with what is no OSError, as gcsfs, botocore and google.auth do."""

    protocol = "refusing"
    find = AbstractFileSystem.find  # by folders, which the memory's own find does not list
    refused = ()

    def __getattribute__(self, name):
        if name in type(self).refused:
            raise Exception("HttpError 403:\nno permission")
        return super().__getattribute__(name)

    def ls(self, path, **kwargs):
        if path.endswith("/closed"):
            raise PermissionError(path)
        return super().ls(path, **kwargs)


@pytest.fixture
def refusing():
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    return OutputStore(f"refusing://out-{uuid.uuid4().hex}")


@pytest.mark.parametrize("remote", [False, True])
def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(tmp_path, refusing, monkeypatch, remote):
    store = refusing if remote else OutputStore(str(tmp_path))
    scandir = os.scandir

    def refuses(path):
        if str(path).endswith("/closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    store.create("annotations/aa/part-aa1.parquet", b"")
    assert store.parts() == ["annotations/aa/part-aa1.parquet"]
    store.create("annotations/bb/closed/part-bb1.parquet", b"")
    with pytest.raises(StorageError, match="/closed"):
        store.parts()


@pytest.mark.parametrize(
    ("refused", "method", "arguments"),
    [
        ("pipe_file", "create", ("a", b"")),
        ("pipe_file", "replace", ("a", b"")),
        ("cat_file", "read", ("a",)),
        ("rm_file", "remove", ("a",)),
        ("ls", "names", ("a",)),
        ("info", "parts", ()),
        ("open", "read_part", ("a",)),
        ("open", "read_report", ("a",)),
    ],
)
def test_any_error_of_a_file_system_is_a_storage_error_in_one_line(refusing, monkeypatch, refused, method, arguments):
    monkeypatch.setattr(Refusing, "refused", (refused,))
    with pytest.raises(StorageError, match=r"^HttpError 403: no permission$"):
        getattr(refusing, method)(*arguments)
    with pytest.raises(StorageError, match="Protocol not known"):
        getattr(OutputStore("nowhere://out"), method)(*arguments)


def test_a_part_holds_its_ids_and_failures(store):
    store.create("p", make_part("k1", [("a", {}), ("b", {})], [FAILURE]))
    expected = PartReport("k1", 2, (FAILURE,))
    assert store.read_part("p") == (["a", "b"], expected)
    assert store.read_report("p") == expected


def test_a_missing_part_and_a_foreign_file_are_different_errors(store):
    with pytest.raises(FileNotFoundError):
        store.read_report("nowhere")
    store.create("text", b"hello")
    store.create("foreign", encode_table(pyarrow.table({"id": ["a"]})))
    for path in ("text", "foreign"):
        with pytest.raises(JobError, match=f"{path} is not a part that earmark wrote"):
            store.read_report(path)
        with pytest.raises(JobError, match=f"{path} is not a part that earmark wrote"):
            store.read_part(path)


def test_a_store_travels_to_workers(store):
    store.create("a", b"content")
    assert pickle.loads(pickle.dumps(store)).read("a") == b"content"


def test_partial_writes_of_a_killed_run_are_removed(tmp_path):
    store = OutputStore(str(tmp_path))
    store.create("kept", b"")
    (tmp_path / "_earmark/tmp").mkdir(parents=True, exist_ok=True)
    (tmp_path / "_earmark/tmp/half").write_bytes(b"ha")
    store.clear_temporary()
    assert files_below(tmp_path) == ["kept"]


@pytest.fixture
def annotations(tmp_path):
    """A folder of three parts, one without rows, and other columns that differ."""
    store = OutputStore(str(tmp_path))
    rows = {"aa": [("a", {"speaker": "x"}), ("b", {})], "bb": [], "cc": [("c", {"audio": "y", "emotion": "z"})]}
    for key, of_part in rows.items():
        store.create(store.part_path(key), make_part(key, of_part, [FAILURE]))
    return str(tmp_path / "annotations")


EXTRA = {"a": {"speaker": "x"}, "b": {}, "c": {"audio": "y", "emotion": "z"}}


def by_key(pairs):
    return {pair["key"]: pair["value"] for pair in pairs}


def test_pandas_reads_the_parts_as_one_table(annotations):
    table = pd.read_parquet(annotations).sort_values("id")
    assert {row.id: by_key(row.extra) for row in table.itertuples()} == EXTRA
    assert [answer["text"] for answer in table["transcribe"]] == ["a", "b", "c"]


def test_pyarrow_reads_the_parts_as_one_table(annotations):
    rows = pyarrow.dataset.dataset(annotations, format="parquet").to_table().to_pylist()
    assert {row["id"]: by_key(row["extra"]) for row in rows} == EXTRA
    assert {row["transcribe"]["text"] for row in rows} == {"a", "b", "c"}


def test_duckdb_reads_the_parts_as_one_table(annotations):
    parts = f"'{annotations}/*/*.parquet'"
    rows = duckdb.sql(f"select id, map_from_entries(extra) from {parts}").fetchall()
    assert dict(rows) == EXTRA
    assert duckdb.sql(f"select transcribe.text from {parts} order by id").fetchall() == [("a",), ("b",), ("c",)]
