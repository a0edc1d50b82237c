"""Parquet files that hold the audio themselves, as Hugging Face's datasets do, as manifests."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Failure, Recording
from earmark.transforms.containers import parquet_rows
from tests.support.audio.containers import HF_AUDIO, Counted, read_rows

AUDIO = b"a" * 1000


def write_parquet(path, audio, type=HF_AUDIO, group_rows=2, **columns):
    table = pa.table({**columns, "audio": pa.array(audio, type)})
    pq.write_table(table, path, row_group_size=group_rows)
    return path


def of_files(*names):
    return [{"bytes": AUDIO, "path": name} for name in names]


def positions(rows):
    return [(row.location.row_group, row.location.row) for row in rows]


def test_a_row_is_a_recording_whose_uri_names_the_row(tmp_path):
    path = write_parquet(
        tmp_path / "a.parquet", of_files("x.MP3", "y", None), sentence=["A", "B", "C"], speaker=[1, 2, 3]
    )
    rows = read_rows(path)
    assert [row.uri for row in rows] == [row.id for row in rows] == [f"{path}#row={n}" for n in range(3)]
    assert [row.reference for row in rows] == ["A", "B", "C"]
    assert [dict(row.extra) for row in rows] == [
        {"audio.path": "x.MP3", "speaker": "1"},
        {"audio.path": "y", "speaker": "2"},
        {"audio.path": "", "speaker": "3"},
    ]
    assert positions(rows) == [(0, 0), (0, 1), (1, 0)]
    assert [row.location.suffix for row in rows] == [".mp3", "", ""]
    assert {row.location.column for row in rows} == {"audio.bytes"}


@pytest.mark.parametrize(
    ("type", "values", "column"),
    [
        (pa.binary(), [AUDIO] * 3, "audio"),
        (pa.large_binary(), [AUDIO] * 3, "audio"),
        (pa.struct([("bytes", pa.large_binary())]), [{"bytes": AUDIO}] * 3, "audio.bytes"),
        (
            pa.struct([("sampling_rate", pa.int32()), ("bytes", pa.binary())]),
            [{"bytes": AUDIO, "sampling_rate": 8000}] * 3,
            "audio.bytes",
        ),
    ],
)
def test_columns_of_bytes_in_all_shapes(tmp_path, type, values, column):
    rows = read_rows(write_parquet(tmp_path / "a.parquet", values, type))
    assert positions(rows) == [(0, 0), (0, 1), (1, 0)]
    assert {row.location.column for row in rows} == {column}


def test_a_column_of_any_name_may_hold_the_audio_and_one_with_bytes_goes_before_paths(tmp_path):
    speech = pa.array(of_files("a.wav"), HF_AUDIO)
    pq.write_table(pa.table({"speech": speech, "audio_filepath": ["b.wav"]}), tmp_path / "a.parquet")
    (named,) = read_rows(tmp_path / "a.parquet", ManifestShape(columns=(("audio", "speech"),)))
    assert named.location.column == "speech.bytes" and dict(named.extra)["audio_filepath"] == "b.wav"
    pq.write_table(pa.table({"audio": speech, "audio_filepath": ["b.wav"]}), tmp_path / "a.parquet")
    (recording,) = read_rows(tmp_path / "a.parquet")
    assert recording.location.column == "audio.bytes"


def test_a_manifest_without_audio_in_it_stays_one(tmp_path):
    pq.write_table(pa.table({"audio": ["a.wav"], "blob": [AUDIO]}), tmp_path / "a.parquet")
    (row,) = read_rows(tmp_path / "a.parquet")
    assert (row.uri, row.location) == (f"{tmp_path}/a.wav", None)


@pytest.mark.parametrize("group_rows", [1, 2, 5], ids=["each alone", "mixed", "all in one"])
def test_without_bytes_the_path_is_the_audio_and_without_both_the_row_is_a_failure(tmp_path, group_rows):
    audio = [
        {"bytes": AUDIO, "path": "0.wav"},
        {"bytes": None, "path": "1.wav"},
        {"bytes": None, "path": "gs://b/2.wav"},
        {"bytes": None, "path": None},
        None,
        {"bytes": AUDIO, "path": None},
        {"bytes": b"", "path": None},
    ]
    path = write_parquet(tmp_path / "a.parquet", audio, group_rows=group_rows)
    rows = read_rows(path)
    assert [row.uri for row in rows if isinstance(row, Recording)] == [
        *(f"{path}#row=0", f"{tmp_path}/1.wav", "gs://b/2.wav", f"{path}#row=5", f"{path}#row=6")
    ]
    assert [isinstance(row, Recording) and row.location is not None for row in rows] == [True] + [False] * 4 + [
        True
    ] * 2
    assert ["no path of a file" in row.message for row in rows if isinstance(row, Failure)] == [True, True]


def test_a_row_that_cannot_be_read_is_one_failure_and_other_locations_stay_right(tmp_path):
    texts = pa.array([b"0", b"\xff", b"2"]).view(pa.string())
    path = write_parquet(tmp_path / "a.parquet", of_files("0", "1", "2"), group_rows=3, gt=texts)
    first, failed, third = read_rows(path)
    assert failed.id == f"{path}:2" and isinstance(failed, Failure)
    assert positions([first, third]) == [(0, 0), (0, 2)]


def test_planning_reads_no_audio(tmp_path):
    large = [{"bytes": os.urandom(20_000), "path": None} for _ in range(200)]
    path = write_parquet(tmp_path / "a.parquet", large, group_rows=50, gt=[f"{n}" for n in range(200)])
    Counted.reads.clear()
    assert len(read_rows(f"counted://{path}")) == 200
    assert Counted.reads["opens"] == 1
    assert Counted.reads["bytes"] < 100_000 < path.stat().st_size / 40


def test_a_row_group_that_every_shard_would_have_to_read_is_warned_of(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(parquet_rows, "LARGE_GROUP_BYTES", 3500)
    path = write_parquet(tmp_path / "a.parquet", [{"bytes": os.urandom(1000), "path": None} for _ in range(3)])
    read_rows(path)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"row group 0 of {path} holds 0.0 GB of audio, all of which is read for each")
