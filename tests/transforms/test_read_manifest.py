"""Reading manifests of every format, with a failure for each broken row."""

import csv
import gzip
import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earmark.schemas.errors import JobError
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Failure, Recording
from earmark.transforms.manifests.files import MAX_LINE_BYTES
from tests.support.manifests import read_rows, write_file


def outline(rows):
    """The references of recordings, and the line numbers of failures."""
    return [
        row.reference if isinstance(row, Recording) else int(row.message.split(": ")[0].rpartition(":")[2])
        for row in rows
    ]


def good(reference):
    return json.dumps({"audio": "a.wav", "gt": reference}).encode()


BROKEN_LINES = {
    "not JSON": b'{"audio": ',
    "not an object": b'["a.wav"]',
    "not UTF-8": b'{"audio": "\xff.wav"}',
    "of 10 MB": b'{"audio": "' + b"a" * 10_000_000 + b'"}',
    "of half a character pair": b'{"audio": "a.wav", "gt": "\\ud800"}',
    "of endless depth": b"[" * 200_000,
    "without audio": b'{"text": "hello"}',
    "of NaN offset": b'{"audio": "a.wav", "offset": NaN}',
}


@pytest.mark.parametrize("line", BROKEN_LINES.values(), ids=BROKEN_LINES)
def test_a_broken_line_is_one_failure_and_its_neighbours_are_read(tmp_path, line):
    path = write_file(tmp_path / "m.jsonl", b"\n".join([good("one"), line, good("three")]) + b"\n")
    rows = read_rows(path)
    assert outline(rows) == ["one", 2, "three"]
    assert rows[1].message.startswith(f"{path}:2: ")
    assert len(rows[1].message) <= 500


def test_a_line_of_the_greatest_length_is_read(tmp_path):
    line = b'{"audio": "a.wav", "gt": "whole"' + b" " * (MAX_LINE_BYTES - 33) + b"}"
    assert len(line) == MAX_LINE_BYTES
    assert outline(read_rows(write_file(tmp_path / "m.jsonl", line))) == ["whole"]
    assert outline(read_rows(write_file(tmp_path / "m.jsonl", line + b" \n" + good("next")))) == [1, "next"]


def test_a_mark_of_byte_order_blank_lines_and_windows_line_ends_are_no_rows(tmp_path):
    lines = [b"\xef\xbb\xbf" + good("one"), b"", b"   ", good("two"), b"{"]
    assert outline(read_rows(write_file(tmp_path / "m.jsonl", b"\r\n".join(lines)))) == ["one", "two", 5]
    table = "\ufeffpath,sentence\r\na.wav,one\r\n\r\nb.wav\r\n"
    assert outline(read_rows(write_file(tmp_path / "m.csv", table))) == ["one", 4]


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.tsv"])
def test_an_empty_manifest_has_no_rows(tmp_path, name):
    assert read_rows(write_file(tmp_path / name, "")) == []


def test_csv_fields_may_hold_commas_quotes_and_line_ends(tmp_path):
    sentences = ["one, two", 'he said "no"', "first\nsecond\r\nthird", ""]
    with open(tmp_path / "m.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "sentence"], *(["a.wav", sentence] for sentence in sentences), ["a.wav"]])
    assert outline(read_rows(tmp_path / "m.csv")) == [*sentences, 8]


def test_quotation_marks_in_a_tsv_are_part_of_the_sentence(tmp_path):
    sentences = ['"Open" is the first word', 'She said "go', 'a"b"c"', '"']
    text = "".join(f"{name}\t{sentence}\ten\n" for name, sentence in zip("abcd", sentences, strict=True))
    assert outline(read_rows(write_file(tmp_path / "m.tsv", "path\tsentence\tlocale\n" + text))) == sentences


@pytest.mark.parametrize(("name", "tab"), [("m.csv", b","), ("m.tsv", b"\t")])
def test_line_numbers_stay_right_after_broken_lines(tmp_path, name, tab):
    lines = [b"path\tsentence", b"a.wav\tone", b"a.wav\t\xff", b"\xff", b"a.wav", b"a.wav\tsix", b"a\tb\tc", b"\tx"]
    path = write_file(tmp_path / name, b"\n".join(lines).replace(b"\t", tab))
    assert outline(read_rows(path)) == ["one", 3, 4, 5, "six", 7, 8]


@pytest.mark.parametrize(
    "lines", ["b.wav,two\nc.wav,three\n", 'b.wav,"two"\nc.wav,three', 'b.wav,two\nc.wav,"three"\n']
)
def test_an_unclosed_quotation_mark_fails_one_row(tmp_path, lines):
    path = write_file(tmp_path / "m.csv", 'path,sentence\na.wav,"one\n' + lines)
    assert outline(read_rows(path)) == [2, "two", "three"]


@pytest.mark.parametrize("header", [b"path\xff,sentence", b"path,sentence,path"])
def test_a_header_that_cannot_be_used_stops_the_job(tmp_path, header):
    with pytest.raises(JobError, match=r"m\.csv"):
        read_rows(write_file(tmp_path / "m.csv", header + b"\na.wav,one,two\n"))


def test_parquet_rows_are_read_with_their_types(tmp_path):
    table = pa.table(
        {"audio": ["a.wav", "b.wav"], "offset": [1.5, None], "id": [1, 2], "tags": [["x", "y"], None], "gt": ["A", "B"]}
    )
    pq.write_table(table, tmp_path / "m.parquet")
    first, second = read_rows(tmp_path / "m.parquet", ManifestShape(audio_root="/data"))
    assert first == Recording("1", "/data/a.wav", offset_s=1.5, reference="A", extra=(("tags", '["x", "y"]'),))
    assert second == Recording("2", "/data/b.wav", reference="B", extra=(("tags", ""),))


def test_parquet_text_that_is_not_utf8_is_one_failure(tmp_path):
    texts = pa.array([b"one", b"\xff", b"three"]).view(pa.string())
    pq.write_table(pa.table({"audio": ["a.wav"] * 3, "gt": texts}), tmp_path / "m.parquet")
    assert outline(read_rows(tmp_path / "m.parquet")) == ["one", 2, "three"]


def test_a_compressed_manifest_is_read_and_a_damaged_one_stops_the_job(tmp_path):
    content = gzip.compress(b"\n".join(good(str(i)) for i in range(50_000)))
    assert len(read_rows(write_file(tmp_path / "m.jsonl.gz", content))) == 50_000
    with pytest.raises(JobError, match=r"cut\.jsonl\.gz cannot be read to its end"):
        read_rows(write_file(tmp_path / "cut.jsonl.gz", content[: len(content) // 2]))
    with pytest.raises(JobError, match=r"hurt\.jsonl\.gz cannot be read to its end"):
        read_rows(write_file(tmp_path / "hurt.jsonl.gz", content[:1000] + b"\xff" * 1000 + content[2000:]))


def test_the_limit_counts_over_all_manifests(tmp_path):
    for name in ("1.jsonl", "2.jsonl"):
        write_file(tmp_path / name, b"\n".join([good(name + "a"), good(name + "b")]))
    assert outline(read_rows(tmp_path / "*.jsonl", limit=3)) == ["1.jsonla", "1.jsonlb", "2.jsonla"]


def test_relative_paths_are_relative_to_their_own_manifest(tmp_path):
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        write_file(tmp_path / name / "m.jsonl", good(name))
    assert [row.uri for row in read_rows(tmp_path / "*" / "m.jsonl")] == [
        f"{tmp_path}/{n}/a.wav" for n in ("north", "south")
    ]
    rooted = read_rows(tmp_path / "*" / "m.jsonl", ManifestShape(audio_root="gs://bucket"))
    assert [row.uri for row in rooted] == ["gs://bucket/a.wav"] * 2


def test_a_manifest_in_an_object_store(tmp_path):
    fsspec.filesystem("memory").pipe_file("/read-manifest/m.jsonl", good("remote"))
    (row,) = read_rows("memory://read-manifest/m.jsonl")
    assert (row.uri, row.reference) == ("memory://read-manifest/a.wav", "remote")


def test_a_folder_gives_its_audio_files_and_a_glob_all_its_files(tmp_path):
    names = ["b.WAV", "a b\n😀.flac", "notes.txt", "deep/c.opus"]
    (tmp_path / "deep").mkdir()
    for name in names:
        write_file(tmp_path / name, b"")
    assert {row.uri for row in read_rows(tmp_path)} == {str(tmp_path / name) for name in names if name != "notes.txt"}
    assert {row.uri for row in read_rows(tmp_path / "*")} == {str(tmp_path / name) for name in names if "/" not in name}
    assert not any(isinstance(row, Failure) for row in read_rows(tmp_path))
