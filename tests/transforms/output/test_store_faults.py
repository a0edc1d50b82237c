"""The output in an object store that fails for a moment."""

import uuid

from fsspec.implementations.memory import MemoryFileSystem

from earmark.transforms.output.store import OutputStore
from tests.support.outputs.parts import make_part


def raises_first(errors, really):
    """The method, which raises these errors before it does what it does."""

    def method(self, *arguments, **options):
        if errors:
            raise errors.pop()
        return really(self, *arguments, **options)

    return method


def test_transient_errors_are_retried(monkeypatch):
    store = OutputStore(f"memory://out-{uuid.uuid4().hex}")
    once = {name: [ConnectionResetError()] for name in ("pipe_file", "cat_file", "ls", "info", "open", "rm_file")}
    for name, errors in once.items():
        monkeypatch.setattr(MemoryFileSystem, name, raises_first(errors, getattr(MemoryFileSystem, name)))
    path = store.part_path("aa1")
    assert store.create(path, make_part("aa1", [("a", {})]))
    assert store.parts() == [path] and store.names("annotations") == ["aa"]
    assert store.read_report(path).annotated == len(store.read_part(path)[0]) == 1
    assert store.read(path)
    store.remove(path)
    assert not any(once.values())


def test_an_object_of_the_same_bytes_is_ones_own_in_an_object_store():
    store = OutputStore(f"memory://out-{uuid.uuid4().hex}")
    assert store.create("a", b"mine") and store.create("a", b"mine")
    assert not store.create("a", b"others")
