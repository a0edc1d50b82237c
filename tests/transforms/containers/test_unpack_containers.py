"""Recordings out of their containers: exact bytes, few reads, and the failures of a damaged or changed container."""

import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.errors import MachineError, RowError
from earmark.transforms.containers import parquet_rows, unpack_parquet, unpack_tar
from earmark.transforms.containers.unpack_containers import unpack_containers, unpack_requests
from earmark.transforms.storage import scratch_file
from tests.support.audio.containers import HF_AUDIO, Counted, read_rows, write_tar

SIZES = [0, 1, 511, 512, 513, 5000, 100, 0, 40_000, 3]


def contents(sizes):
    return [random.Random(number).randbytes(size) for number, size in enumerate(sizes)]


def make_tar(path, audio):
    return write_tar(path, [(f"{number}.wav", content) for number, content in enumerate(audio)])


def make_parquet(path, audio, group_rows=4, **options):
    column = pa.array([{"bytes": content, "path": None} for content in audio], HF_AUDIO)
    pq.write_table(pa.table({"audio": column}), path, row_group_size=group_rows, **options)
    return path


MAKERS = pytest.mark.parametrize("make", [make_tar, make_parquet], ids=["tar", "parquet"])


def unpack(recordings, scratch):
    """Content of each recording's file, or the error."""
    by_index: dict[int, bytes | RowError] = {}
    requests = unpack_requests(recordings, str(scratch))
    for request, result in zip(requests, unpack_containers(requests), strict=True):
        results = [result] * len(request.indices) if isinstance(result, RowError) else result
        for index, path in zip(request.indices, results, strict=True):
            by_index[index] = path if isinstance(path, RowError) else open(path, "rb").read()  # noqa: SIM115
    return [by_index[index] for index in range(len(recordings))]


def errors(results):
    return [result.error if isinstance(result, RowError) else "" for result in results]


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    folder, audio = tmp_path_factory.mktemp("containers"), contents(SIZES)
    rows = read_rows(make_tar(folder / "a.tar", audio)), read_rows(make_parquet(folder / "a.parquet", audio))
    return audio, rows


@given(data=st.data(), block_bytes=st.integers(1, 60_000), gap_bytes=st.integers(0, 60_000))
def test_any_recordings_in_any_order_come_out_as_they_went_in(
    containers, tmp_path_factory, data, block_bytes, gap_bytes
):
    audio, (tar, parquet) = containers
    chosen = data.draw(st.lists(st.integers(0, 2 * len(audio) - 1), unique=True, max_size=12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack_tar, "BLOCK_BYTES", block_bytes)
        patch.setattr(unpack_tar, "MAX_GAP_BYTES", gap_bytes)
        results = unpack([[*tar, *parquet][number] for number in chosen], tmp_path_factory.mktemp("scratch"))
    assert results == [audio[number % len(audio)] for number in chosen]


@MAKERS
def test_opens_do_not_grow_with_the_recordings_and_no_byte_is_read_twice(tmp_path, make):
    opens = []
    for count in (10, 200):
        audio = [os.urandom(5000) for _ in range(count)]
        path = (
            make(tmp_path / f"{count}.tar", audio) if make is make_tar else make(tmp_path / f"{count}.parquet", audio)
        )
        rows = read_rows(f"counted://{path}")
        Counted.reads.clear()
        assert unpack(rows, tmp_path) == audio
        opens.append(Counted.reads["opens"])
        overhead = 1024 * count if make is make_tar else 70_000  # headers of members; the footer
        assert Counted.reads["bytes"] <= 5000 * count + overhead
    assert opens == [1, 1]


def test_a_part_of_a_container_is_read_for_a_part_of_its_recordings(tmp_path):
    audio = [os.urandom(2_000_000) for _ in range(8)]
    for path in (make_tar(tmp_path / "a.tar", audio), make_parquet(tmp_path / "a.parquet", audio, group_rows=2)):
        rows = read_rows(f"counted://{path}")
        Counted.reads.clear()
        assert unpack([rows[0], rows[1], rows[6]], tmp_path) == [audio[0], audio[1], audio[6]]
        assert Counted.reads["bytes"] < 4.1 * 2_000_000


def test_a_row_group_is_read_in_batches_up_to_the_last_requested_row(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "READ_BYTES", 100_000)
    monkeypatch.setattr(unpack_parquet, "BATCH_BYTES", 100_000)
    audio = [os.urandom(10_000) for _ in range(400)]
    path = make_parquet(tmp_path / "a.parquet", audio, 400, use_dictionary=False, data_page_size=1, write_batch_size=4)
    rows = read_rows(f"counted://{path}")
    Counted.reads.clear()
    assert unpack([rows[3], rows[90]], tmp_path) == [audio[3], audio[90]]
    assert 900_000 < Counted.reads["bytes"] < 1_500_000


@MAKERS
def test_a_container_that_has_changed_is_not_read(tmp_path, make):
    audio = contents(SIZES)
    path = make(tmp_path / ("a.tar" if make is make_tar else "a.parquet"), audio)
    rows = read_rows(path)
    make(path, audio[::-1])
    os.utime(path, ns=(0, 0))
    results = unpack(rows, tmp_path)
    assert set(errors(results)) == {"container_changed"}
    assert all("start again" in result.message for result in results)


@MAKERS
def test_only_the_recordings_of_a_missing_container_fail(tmp_path, make):
    suffix = "tar" if make is make_tar else "parquet"
    rows = [row for name in "ab" for row in read_rows(make(tmp_path / f"{name}.{suffix}", [b"one", b"two"]))]
    os.unlink(tmp_path / f"a.{suffix}")
    results = unpack(rows, tmp_path)
    assert errors(results) == ["not_found", "not_found", "", ""]
    assert str(tmp_path / f"a.{suffix}") in results[0].message


def test_only_recordings_in_a_range_that_came_short_fail(tmp_path, monkeypatch):
    audio = [os.urandom(1000) for _ in range(6)]
    rows = read_rows(f"counted://{make_tar(tmp_path / 'a.tar', audio)}")
    monkeypatch.setattr(unpack_tar, "BLOCK_BYTES", 3000)
    real = Counted.cat_file
    bad = rows[2].location.start
    monkeypatch.setattr(
        Counted, "cat_file", lambda self, path, start, end, **_: real(self, path, start, end - (start <= bad < end))
    )
    results = unpack(rows, tmp_path)
    assert [result == content for result, content in zip(results, audio, strict=True)].count(True) == 4
    assert errors(results)[2] == "cut_short" and "parts of files" in results[2].message


def test_recordings_of_a_failed_request_fail_but_not_for_lack_of_credentials(tmp_path, monkeypatch):
    rows = read_rows(f"counted://{make_tar(tmp_path / 'a.tar', [b'one'])}")

    def fail(error):
        def cat_file(*_, **__):
            raise error

        monkeypatch.setattr(Counted, "cat_file", cat_file)

    fail(RuntimeError("no one expects this"))
    assert errors(unpack(rows, tmp_path)) == ["fetch_failed"]
    fail(OSError(28, "No space left on device"))
    with pytest.raises(MachineError, match="this machine cannot continue"):
        unpack(rows, tmp_path)


@MAKERS
def test_a_full_scratch_folder_is_no_fault_of_the_container(tmp_path, monkeypatch, make):
    rows = read_rows(make(tmp_path / ("a.tar" if make is make_tar else "a.parquet"), [b"one"]))

    def full_open(file, *_):
        raise OSError(28, "No space left on device", file)

    monkeypatch.setattr(scratch_file, "open", full_open, raising=False)
    with pytest.raises(MachineError, match=r"No space left on device.*--scratch_dir"):
        unpack(rows, tmp_path)
    with pytest.raises(MachineError, match=r"gone takes no more audio.*--scratch_dir"):
        unpack(rows, tmp_path / "gone")


def test_only_the_rows_of_a_damaged_row_group_fail(tmp_path):
    audio = [os.urandom(10_000) for _ in range(8)]
    path = make_parquet(tmp_path / "a.parquet", audio, group_rows=2, compression="zstd")
    rows = read_rows(path)
    content = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    content[first : first + 200] = bytes(200)
    modified = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(modified, modified))
    results = unpack(rows, tmp_path)
    assert errors(results) == ["", "", "fetch_failed", "fetch_failed", "", "", "", ""]
    assert [result for result in results if isinstance(result, bytes)] == audio[:2] + audio[4:]


def test_a_row_without_bytes_in_a_file_without_statistics_is_one_failure(tmp_path):
    path = make_parquet(tmp_path / "a.parquet", [b"one", None, b"three"], write_statistics=False)
    results = unpack(read_rows(path), tmp_path)
    assert results[::2] == [b"one", b"three"]
    assert errors(results) == ["", "no_bytes", ""]
