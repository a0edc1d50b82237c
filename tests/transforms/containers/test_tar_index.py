"""Index of a tar in the output, so that its headers are read once."""

import pytest

from earmark.schemas.errors import JobError
from earmark.transforms.output.store import OutputStore
from tests.support.audio.containers import MEMBERS, Counted, members_of, read_rows, write_tar


def test_a_tar_s_headers_are_read_once_and_then_its_index_in_the_output(tmp_path):
    large = b"a" * 100_000
    tar = write_tar(
        tmp_path / "a.tar", [(f"{n}.wav", large) for n in range(20)] + [("3.txt", b"three"), ("x.json", b"{")]
    )
    store, url = OutputStore(str(tmp_path / "out")), f"counted://{tar}"
    Counted.reads.clear()
    first = read_rows(url, store=store)
    assert Counted.reads["opens"] == 1
    assert Counted.reads["bytes"] < 22 * 1200
    Counted.reads.clear()
    assert read_rows(url, store=store) == first == read_rows(url)[: len(first)]
    assert Counted.reads["opens"] == 1, "by the last call alone, which has no store"
    write_tar(tar, [("other.wav", large)])
    assert members_of(read_rows(url, store=store)) == ["other.wav"]


def test_a_damaged_index_is_named(tmp_path):
    tar, store = write_tar(tmp_path / "a.tar", MEMBERS), OutputStore(str(tmp_path / "out"))
    read_rows(tar, store=store)
    (index,) = (tmp_path / "out").glob("_earmark/containers/*.parquet")
    index.write_bytes(b"x")
    with pytest.raises(JobError, match=rf"{index} is damaged.*remove it"):
        read_rows(tar, store=store)
    index.unlink()
    assert len(read_rows(tar, store=store)) == 3
