"""Tars of audio as manifests: what WebDataset writes, and what is damaged, odd or hostile in a tar."""

import json
import os
import tarfile

import fsspec
import pytest

from earmark.schemas.errors import JobError
from earmark.schemas.locations import TarLocation
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Failure, Recording, pick_canonical_row
from earmark.transforms.containers.tar_members import MAX_TEXT_BYTES
from tests.support.audio.containers import AUDIO, MEMBERS, add_member, members_of, read_rows, write_tar


def test_a_sample_is_a_row_with_the_objects_names_as_columns_and_the_text_as_reference(tmp_path):
    beside = {"id": "one", "lang": "de", "duration": 2.5, "speaker": 7}
    tar = write_tar(
        tmp_path / "a.tar",
        [("x/000.flac", AUDIO), ("x/000.json", json.dumps(beside).encode()), ("x/000.txt", b" hi\n")],
    )
    (row,) = read_rows(tar)
    location = row.location
    assert row == Recording(
        id="one",
        uri=f"tar://x/000.flac::file://{tar}",
        duration_s=2.5,
        language="de",
        reference="hi",
        extra=(("speaker", "7"),),
        location=location,
    )
    assert (location.container, location.size_bytes, location.suffix) == (str(tar), len(AUDIO), ".flac")
    assert tar.read_bytes()[location.start : location.start + location.size_bytes] == AUDIO
    with fsspec.open(row.uri, "rb") as file:
        assert file.read() == AUDIO


def test_members_of_a_sample_may_lie_anywhere_and_ids_are_the_uris_where_there_is_none(tmp_path):
    members = [
        ("2.json", b'{"n": 2}'),
        ("1.wav", AUDIO),
        ("2.opus", AUDIO),
        ("picture.jpg", b"x"),
        ("1.json", b'{"n": 1}'),
    ]
    rows = read_rows(write_tar(tmp_path / "a.tar", members))
    assert [row.id for row in rows] == [row.uri for row in rows]
    assert members_of(rows) == ["1.wav", "2.opus"]
    assert [dict(row.extra) for row in rows] == [{"n": "1"}, {"n": "2"}]


def test_an_id_does_not_hang_on_how_the_tar_was_named(tmp_path, monkeypatch):
    write_tar(tmp_path / "a.tar", [("1.wav", AUDIO)])
    monkeypatch.chdir(tmp_path)
    ids = {row.id for name in ("a.tar", "*.tar", "./a.tar", str(tmp_path / "a.tar")) for row in read_rows(name)}
    assert ids == {f"tar://1.wav::file://{tmp_path}/a.tar"}


def test_texts_belong_to_the_name_before_the_last_dot_or_the_first(tmp_path):
    members = [
        *(
            ("0.left.wav", AUDIO),
            ("0.right.wav", AUDIO),
            ("0.json", b'{"of": "both"}'),
            ("0.left.json", b'{"of": "left"}'),
        ),
        *(("LJ.1.wav", AUDIO), ("LJ.2.wav", AUDIO), ("LJ.1.txt", b"one"), ("LJ.2.txt", b"two")),
    ]
    rows = read_rows(write_tar(tmp_path / "a.tar", members))
    assert [dict(row.extra).get("of") for row in rows] == ["left", "both", None, None]
    assert [row.reference for row in rows] == [None, None, "one", "two"]


def test_a_path_in_the_json_is_carried_along_and_columns_may_be_named(tmp_path):
    beside = b'{"path": "/old/1.wav", "utt": "u1", "sentence": "from json", "txt": "raw"}'
    tar = write_tar(tmp_path / "a.tar", [("1.wav", AUDIO), ("1.json", beside), ("1.txt", b"from txt")])
    (row,) = read_rows(tar, ManifestShape(columns=(("id", "utt"),)))
    assert (row.id, row.reference) == ("u1", "from json")
    assert dict(row.extra) == {"path": "/old/1.wav", "txt": "raw"}
    with pytest.raises(JobError, match=r"--columns audio=wav does not work.*leave it out"):
        read_rows(tar, ManifestShape(columns=(("audio", "wav"),)))


def test_members_that_are_neither_audio_nor_text_beside_it_are_counted_in_one_warning(tmp_path, caplog):
    members = [("1.wav", AUDIO), ("._1.wav", b"mac"), ("README.txt", b"x"), ("1.jpg", b"x")]
    tar = write_tar(tmp_path / "a.tar", members)
    assert members_of(read_rows(tar)) == ["1.wav"]
    assert [record.getMessage() for record in caplog.records] == [
        f"left out of {tar}: 3 members, neither audio nor text beside audio"
    ]


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ([("1.json", b"[1]")], "1.json is not a JSON object"),
        ([("1.json", b"{")], "1.json is not JSON"),
        ([("1.json", b"[" * 200_000)], "1.json is not JSON"),
        ([("1.json", b'"' + b"a" * MAX_TEXT_BYTES)], "1.json has 1048577 bytes, more than"),
        ([("1.txt", b"\xff")], "1.txt is not UTF-8"),
        ([("1.json", b'{"offset": -1}')], "offset -1.0 is negative"),
        ([("9.json", b"{}")], "9.json has no audio beside it"),
    ],
)
def test_a_bad_text_is_one_failure_and_its_neighbours_are_read(tmp_path, beside, message):
    audio = [("1.wav", AUDIO)] if beside[0][0].startswith("1") else []
    tar = write_tar(tmp_path / "a.tar", [("0.wav", AUDIO), *audio, *beside, ("2.wav", AUDIO)])
    rows = read_rows(tar)
    (failure,) = [row for row in rows if isinstance(row, Failure)]
    assert message in failure.message and failure.message.startswith(f"{tar}:")
    assert sorted(members_of(rows)) == ["!", "0.wav", "2.wav"]


def test_links_devices_sparse_files_and_folders_are_no_audio(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add_member(tar, "0.wav", AUDIO)
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE), 1):
            add_member(tar, f"{number}.wav", type=kind, linkname="/etc/passwd")
        add_member(tar, "folder.wav", type=tarfile.DIRTYPE)
        add_member(tar, "5.wav", AUDIO, pax_headers={"GNU.sparse.map": "0,1000", "GNU.sparse.size": "1000"})
        add_member(tar, "../../etc/6.wav", AUDIO)
        add_member(tar, "/etc/7.wav", AUDIO)
        add_member(tar, "n" * 5000 + ".wav", AUDIO)
        add_member(tar, "größe.wav", AUDIO)
    rows = read_rows(tmp_path / "a.tar")
    good = ["0.wav", "../../etc/6.wav", "/etc/7.wav", "n" * 5000 + ".wav", "größe.wav"]
    assert [name for name in members_of(rows) if name != "!"] == good
    failed = [row for row in rows if isinstance(row, Failure)]
    assert len(failed) == 5 and all("not a plain file" in row.message for row in failed)
    content = (tmp_path / "a.tar").read_bytes()
    locations = [row.location for row in rows if isinstance(row, Recording)]
    assert all(content[location.start : location.start + location.size_bytes] == AUDIO for location in locations)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_that_is_no_text_is_one_failure(tmp_path, format):
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as tar:
        for name in ("0.wav", "\udcff.wav", "2.wav"):
            add_member(tar, name, AUDIO)
    rows = read_rows(tmp_path / "a.tar")
    assert members_of(rows) == ["0.wav", "!", "2.wav"]
    assert rows[1].error == "bad_unicode"


def test_of_members_of_one_name_the_last_is_annotated(tmp_path):
    tar = write_tar(tmp_path / "a.tar", [("1.wav", b"old!"), ("2.wav", AUDIO), ("1.wav", b"new!")])
    rows = [row for row in read_rows(tar) if row.uri.startswith("tar://1.wav")]
    for order in (rows, rows[::-1]):
        location = pick_canonical_row(order).location
        assert tar.read_bytes()[location.start : location.start + 4] == b"new!"
    with fsspec.open(rows[0].uri, "rb") as file:
        assert file.read() == b"new!"


def test_a_tar_cut_anywhere_is_at_most_one_failure_that_names_the_loss(tmp_path):
    """Cut within a member, a header or the blocks that end it; exactly between two members, nobody can know."""
    content = write_tar(tmp_path / "whole.tar", MEMBERS).read_bytes()
    ends = [row.location.start + 1024 for row in read_rows(tmp_path / "whole.tar")]  # of audio, with its padding
    for cut in range(100, len(content), 100):
        (tmp_path / "cut.tar").write_bytes(content[:cut])
        if cut < 512:
            with pytest.raises(JobError, match=r"cut\.tar is no tar that can be read: truncated header"):
                read_rows(tmp_path / "cut.tar")
            continue
        rows = read_rows(tmp_path / "cut.tar")
        recordings = [row for row in rows if isinstance(row, Recording)]
        assert [row.location.start for row in recordings] == [
            location.start
            for location in _locations(tmp_path / "whole.tar")
            if location.start + location.size_bytes <= cut
        ][: len(recordings)]
        failed = [row for row in rows if isinstance(row, Failure)]
        if cut < ends[-1] - 24 and cut % 512:
            assert len(failed) == 1, cut
            assert "cut short" in failed[0].message or "is lost" in failed[0].message
        assert len(failed) <= 1


def _locations(tar):
    return [row.location for row in read_rows(tar) if isinstance(row.location, TarLocation)]


def test_garbage_between_members_is_one_failure_that_names_the_loss(tmp_path):
    content = bytearray(write_tar(tmp_path / "a.tar", MEMBERS).read_bytes())
    second = read_rows(tmp_path / "a.tar")[1].location.start - 512
    content[second : second + 512] = os.urandom(512)
    (tmp_path / "a.tar").write_bytes(content)
    rows = read_rows(tmp_path / "a.tar")
    assert members_of(rows) == ["1.wav", "!"]
    assert "what comes after member 2 of the tar is lost" in rows[1].message


def test_a_header_that_would_fill_the_memory_is_not_read(tmp_path):
    write_tar(tmp_path / "a.tar", [("1.wav", AUDIO)])
    with tarfile.open(tmp_path / "a.tar", "a", format=tarfile.PAX_FORMAT) as tar:
        add_member(tar, "2.wav", AUDIO, pax_headers={"comment": "c" * 2 * MAX_TEXT_BYTES})
    rows = read_rows(tmp_path / "a.tar")
    assert members_of(rows) == ["1.wav", "!"]
    assert "a header of" in rows[1].message


def test_a_chain_of_headers_that_name_no_member_ends(tmp_path):
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 512
    chain = (long_name.tobuf(tarfile.GNU_FORMAT) + b"n" * 512) * 5000
    first = write_tar(tmp_path / "b.tar", [("1.wav", AUDIO)]).read_bytes()[:1536]
    (tmp_path / "a.tar").write_bytes(first + chain)
    assert members_of(read_rows(tmp_path / "a.tar")) == ["1.wav", "!"]


@pytest.mark.parametrize("content", [b"", b"<html>" * 1000, b"PK\x03\x04" * 1000])
def test_a_file_that_is_no_tar_stops_the_job(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(JobError, match=r"a\.tar is no tar that can be read"):
        read_rows(tmp_path / "a.tar")


def test_an_empty_tar_has_no_rows(tmp_path):
    assert read_rows(write_tar(tmp_path / "a.tar", [])) == []


@pytest.mark.parametrize("pattern", ["a.tar.gz", "*"])
def test_a_compressed_tar_stops_the_job(tmp_path, pattern):
    (tmp_path / "a.tar.gz").write_bytes(b"")
    with pytest.raises(JobError, match=r"a\.tar\.gz is compressed.*decompress the tar file"):
        read_rows(tmp_path / pattern)
