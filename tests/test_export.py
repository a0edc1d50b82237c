"""`earmark export`: every format, read again by its own library or by a parser that knows nothing of earmark."""

import csv
import io
import json
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lhotse
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.cli import main
from pipeline.compact import compact_store
from reporting.export import export
from reporting.export_captions import file_name
from reporting.export_options import FORMATS, ExportOptions
from tests.answered_output import HOSTILE, Said, facts_of, hostile_rows, write_answered, write_sound
from tests.jobs import annotations, run_here, write_manifest
from tests.test_dataset_card import blocks, head_of, run_offline
from transforms.output_store import OutputStore

SUFFIX = {"nemo": ".jsonl", "csv": ".csv"}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows that are hostile; every third is flagged."""
    folder = tmp_path_factory.mktemp("exports")
    write_answered(folder / "labels", hostile_rows(folder / "audio"))
    return folder / "labels"


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_nemo_s_manifest_has_each_row_and_what_was_answered(output: Path, tmp_path: Path) -> None:
    found = export(str(output), str(tmp_path / "m.jsonl"), ExportOptions("nemo"))
    rows = {row["id"]: row for row in json_lines(tmp_path / "m.jsonl")}
    assert found.rows == found.of == len(HOSTILE) and rows.keys() == set(HOSTILE)
    for annotation in annotations(output):
        row = rows[annotation["id"]]
        assert row["audio_filepath"] == annotation["uri"] and row["duration"] == annotation["audio"]["duration_s"]
        assert (row["text"], row["lang"], row["caption"]) == (f"{row['id']} and", "en", row["id"])
        assert (row["emotion"], row["emotion_score"]) == ("joy", 0.5)
        assert row["embed"] == [0.5, -1.0, 0.25] and row["=note"] == row["id"]


def test_parts_of_files_are_named_as_such_and_can_be_annotated_again(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "x.wav", 3.0, channels=2)
    parts = [{"offset": 0.5, "duration": 1.5, "channel": 1}, {"duration": 2.0}, {"offset": 1, "channel": 0}]
    rows = [{"id": f"{number}", "audio_filepath": str(sound), "mood": "x", **part} for number, part in enumerate(parts)]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "labels")
    export(str(tmp_path / "labels"), str(tmp_path / "again.jsonl"), ExportOptions("nemo"))
    written = {row["id"]: row.get("offset", 0) for row in json_lines(tmp_path / "again.jsonl")}
    assert written == {"0": 0.5, "1": 0, "2": 1.0}
    run_here(tmp_path / "again.jsonl", tmp_path / "again")
    before, again = annotations(tmp_path / "labels"), annotations(tmp_path / "again")
    assert [row["transcribe"]["text"] for row in again] == [row["transcribe"]["text"] for row in before]
    assert [row["reference"] for row in again] == [row["transcribe"]["text"] for row in before]


def test_a_carried_column_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav")
    row = Said("a", "said", str(path), facts_of(path), extra=(("caption", "theirs"), ("mood", "x")))
    write_answered(tmp_path / "labels", [row])
    export(str(tmp_path / "labels"), str(tmp_path / "m.jsonl"), ExportOptions("nemo"))
    (found,) = json_lines(tmp_path / "m.jsonl")
    assert (found["caption"], found["manifest_caption"], found["mood"]) == ("said", "theirs", "x")


def test_csv_holds_every_value_and_nothing_that_a_spreadsheet_computes(output: Path, tmp_path: Path) -> None:
    export(str(output), str(tmp_path / "t.csv"), ExportOptions("csv"))
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    as_ids = {row["id"]: row for row in rows}
    assert as_ids.keys() == {f"'{id}" if id[0] in "=+-@\t" else id for id in HOSTILE}
    for row in rows:
        assert float(row["audio.duration_s"]) == 0.25 and float(row["emotion.score"]) == 0.5
        assert json.loads(row["embed"]) == [0.5, -1.0, 0.25] and json.loads(row["transcribe.flags"]) == []
        assert f"'{row['id']}".endswith(json.loads(row["extra"])["=note"])
        assert not any(value and value[0] in "=+@\t\r\n" for value in row.values())
        assert not any(value.startswith("-") and not re.fullmatch(r"-[\d.]+(e-?\d+)?", value) for value in row.values())


def cues_of(path: Path) -> list[tuple[float, float, str]]:
    """Cues as the WebVTT and SubRip specifications split files: blocks at empty lines, times, an arrow, text."""
    blocks = re.split(r"\n\n+", path.read_text(encoding="utf-8").strip("\n"))
    if path.suffix == ".vtt":
        assert blocks.pop(0) == "WEBVTT"
    cues = []
    for block in blocks:
        lines = block.split("\n")
        if path.suffix == ".srt":
            assert lines.pop(0) == str(len(cues) + 1)
        times, *text = lines
        assert sum("-->" in line for line in lines) == 1 and len(text) == 1
        number = r"(\d\d+):([0-5]\d):([0-5]\d)" + ("[.]" if path.suffix == ".vtt" else ",") + r"(\d{3})"
        found = re.fullmatch(f"{number} --> {number}", times)
        assert found
        h1, m1, s1, f1, h2, m2, s2, f2 = map(int, found.groups())
        cues.append((h1 * 3600 + m1 * 60 + s1 + f1 / 1000, h2 * 3600 + m2 * 60 + s2 + f2 / 1000, text[0]))
    return cues


def one_line(text: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f]", " ", text).split())


@pytest.mark.parametrize("format", ["vtt", "srt"])
def test_captions_are_a_file_a_recording_whatever_it_is_called_and_says(
    output: Path, tmp_path: Path, format: str
) -> None:
    export(str(output), str(tmp_path / "to" / "captions"), ExportOptions(format))
    folder = tmp_path / "to" / "captions"
    index = json_lines(folder / "files.jsonl")
    assert {row["id"] for row in index} == set(HOSTILE)
    assert sorted(path.name for path in folder.iterdir()) == sorted(["files.jsonl", *(row["file"] for row in index)])
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["captions"]  # nothing beside it, nothing left over
    for row in index:
        first, second = cues_of(folder / row["file"])
        assert (first[:2], second) == ((0.0, 0.125), (0.125, 0.25, "and"))
        if format == "vtt":
            assert "<" not in first[2] and ">" not in first[2]
            shown = first[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            assert shown == one_line(row["id"])
        else:
            assert not set("<>{}") & set(first[2]) and len(first[2]) == len(one_line(row["id"]))


def test_caption_times_are_the_files_also_where_a_row_is_a_part_of_it(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", 2.0)
    row = Said("a", "x", str(path), facts_of(path, 1.0), offset_s=3600.5)
    write_answered(tmp_path / "labels", [row])
    export(str(tmp_path / "labels"), str(tmp_path / "vtt"), ExportOptions("vtt"))
    assert [cue[:2] for cue in cues_of(tmp_path / "vtt" / "a.vtt")] == [(3600.5, 3601.0), (3601.0, 3601.5)]


def test_names_of_files_are_an_ids_own_and_stay_in_their_folder() -> None:
    ids = [*HOSTILE, "", ".", "...", "a/b", "a_b", "nul.txt", "LPT1", file_name("a/b"), "a\\b", "a:b", "~", "-x"]
    names = [file_name(id) for id in ids]
    assert len(set(names)) == len(set(ids))
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", name) and len(name) < 130
    assert file_name("plain-id_1.wav") == "plain-id_1.wav"


def test_lhotse_reads_and_validates_its_manifests(output: Path, tmp_path: Path) -> None:
    export(str(output), str(tmp_path / "lhotse"), ExportOptions("lhotse"))
    recordings = lhotse.RecordingSet.from_file(tmp_path / "lhotse" / "recordings.jsonl.gz")
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "lhotse" / "supervisions.jsonl.gz")
    recordings, supervisions = recordings.to_eager(), supervisions.to_eager()
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    assert set(supervisions.ids) == set(recordings.ids) == set(HOSTILE)
    cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    for cut in cuts:
        (supervision,) = cut.supervisions
        assert (supervision.text, supervision.language) == (f"{supervision.id} and", "en")
        assert (supervision.custom["emotion"], supervision.custom["reference"]) == ("joy", supervision.id)
        samples, rate = soundfile.read(cut.recording.sources[0].source, dtype="float32")
        assert rate == 16_000 and np.array_equal(cut.load_audio()[0], samples)


def test_lhotse_hears_the_same_parts_of_files(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "x.wav", 2.0, channels=2)
    rows = [
        Said("one", "x", str(path), facts_of(path, 1.0), offset_s=0.5, channel=1),
        Said("both", "x", str(path), facts_of(path, 2.0)),
    ]
    write_answered(tmp_path / "labels", rows)
    export(str(tmp_path / "labels"), str(tmp_path / "lhotse"), ExportOptions("lhotse"))
    recordings = lhotse.RecordingSet.from_file(tmp_path / "lhotse" / "recordings.jsonl.gz").to_eager()
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "lhotse" / "supervisions.jsonl.gz").to_eager()
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    one, both = (supervisions[name] for name in ("one", "both"))
    assert (one.start, one.duration, one.channel, both.channel) == (0.5, 1.0, 1, [0, 1])
    heard = recordings["one"].load_audio(channels=1, offset=one.start, duration=one.duration)
    samples, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(heard[0], samples[8000:24_000, 1])


def test_a_folder_for_datasets_has_the_very_bytes_and_loads(output: Path, tmp_path: Path) -> None:
    found = export(str(output), str(tmp_path / "hub"), ExportOptions("hf"))
    assert (found.rows, found.left_out) == (len(HOSTILE), {})
    files = {row["id"]: Path(row["uri"]) for row in annotations(output)}
    code = """
loaded = datasets.load_dataset("hub", split="train")
plain = datasets.load_dataset("parquet", data_files="hub/data/*.parquet", split="train")
assert loaded.features == plain.features, (loaded.features, plain.features)
assert isinstance(loaded.features["audio"], datasets.Audio)
rows = loaded.cast_column("audio", datasets.Audio(decode=False))
print(json.dumps([[row["id"], row["audio"]["bytes"].hex(), row["audio"]["path"], row["embed"], row["extra"]]
                  for row in rows]))
"""
    rows = json.loads(run_offline(code, tmp_path, tmp_path / "cache"))
    assert {row[0] for row in rows} == set(HOSTILE)
    for id, content, name, embed, extra in rows:
        assert bytes.fromhex(content) == files[id].read_bytes()
        assert name == file_name(id) + files[id].suffix and embed == [0.5, -1.0, 0.25]
        assert extra == [{"key": "=note", "value": id}]
    card = (tmp_path / "hub" / "README.md").read_text()
    assert head_of(card)["configs"] == [
        {"config_name": "annotations", "data_files": [{"split": "train", "path": "data/*.parquet"}], "default": True}
    ]
    assert len(blocks(card, "python")) == 2


def test_parts_of_files_are_cut_sample_by_sample(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "x.wav", 2.0, channels=2, rate=44_100)
    deep = tmp_path / "deep.flac"
    soundfile.write(deep, np.random.default_rng(1).uniform(-1, 1, 32_000), 16_000, "PCM_24")
    rows = [
        Said("part", "x", str(path), facts_of(path, 1.0), offset_s=0.5),
        Said("channel", "x", str(path), facts_of(path, 1.5), offset_s=0.5, channel=1),
        Said("start", "x", str(path), facts_of(path, 0.5)),
        Said("deep", "x", str(deep), facts_of(deep, 1.0), offset_s=1.0),
        Said("gone", "x", str(tmp_path / "gone.wav"), facts_of(path)),
    ]
    write_answered(tmp_path / "labels", rows)
    found = export(str(tmp_path / "labels"), str(tmp_path / "hub"), ExportOptions("hf"))
    assert (found.of, found.rows, found.left_out) == (5, 4, {"not_found": 1})
    assert found.examples[0].id == "gone" and "gone.wav" in found.examples[0].message
    sounds = {}
    for row in pq.read_table(tmp_path / "hub" / "data").to_pylist():
        sounds[row["id"]], _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int32", always_2d=True)
        assert row["audio"]["path"].endswith(".flac")
    source, _ = soundfile.read(path, dtype="int32", always_2d=True)
    assert np.array_equal(sounds["part"], source[22_050 : 22_050 + 44_100])
    assert np.array_equal(sounds["channel"], source[22_050:, 1:])
    assert np.array_equal(sounds["start"], source[:22_050])
    assert np.array_equal(sounds["deep"], soundfile.read(deep, dtype="int32", always_2d=True)[0][16_000:])


def test_audio_in_containers_comes_along(tmp_path: Path) -> None:
    sounds = [write_sound(tmp_path / "audio" / f"{number}.flac") for number in range(5)]
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for path in sounds[:2]:
            tar.add(path, path.name)
    audio = [{"bytes": path.read_bytes(), "path": path.name} for path in sounds[2:]]
    pq.write_table(pa.table({"speech": audio}), tmp_path / "x.parquet", row_group_size=2)
    run_here(tmp_path / "x.tar", tmp_path / "tar")
    run_here(tmp_path / "x.parquet", tmp_path / "rows", columns=("audio=speech",))
    for name, expected in (("tar", sounds[:2]), ("rows", sounds[2:])):
        found = export(str(tmp_path / name), str(tmp_path / f"hub-{name}"), ExportOptions("hf"))
        assert (found.rows, found.in_containers, found.left_out) == (len(expected), len(expected), {})
        rows = pq.read_table(tmp_path / f"hub-{name}" / "data").to_pylist()
        contents = [row["audio"]["bytes"] for row in sorted(rows, key=lambda row: str(row["uri"]))]
        assert contents == [path.read_bytes() for path in expected]


@pytest.mark.parametrize("format", FORMATS)
def test_a_condition_chooses_rows_also_of_a_compacted_output(tmp_path: Path, format: str) -> None:
    paths = [write_sound(tmp_path / "audio" / f"{number}.wav") for number in range(12)]
    rows = [
        Said(f"r{number:02d}", "x", str(path), facts_of(path), flags=("repetition",) if number % 3 == 0 else ())
        for number, path in enumerate(paths)
    ]
    store = write_answered(tmp_path / "labels", rows, rows_a_part=4)
    compact_store(store, 2**27)
    to = tmp_path / f"to{SUFFIX.get(format, '')}"
    where = "emotion.score < 0.8 and 'repetition' not in transcribe.flags and extra['speaker'] = 's1'"
    found = export(str(tmp_path / "labels"), str(to), ExportOptions(format, where))
    assert (found.of, found.rows, found.unknown) == (12, 8, 0)
    listed = "not list_contains(transcribe.flags, 'repetition') and len(embed) = 3"
    again = export(str(tmp_path / "labels"), str(tmp_path / f"2{to.suffix}"), ExportOptions(format, listed))
    assert again.rows == 8
    none = export(str(tmp_path / "labels"), str(tmp_path / f"3{to.suffix}"), ExportOptions(format, "channel > 3"))
    assert (none.rows, none.unknown) == (0, 12)


@pytest.mark.parametrize(
    "expression",
    [
        " ",
        "1",
        "nonsense(id) > 1",
        "nowhere.score > 1",
        "true) UNION SELECT 1 --",
        "1 = 1; DROP TABLE joined",
        "true, false",
        "*",
        "CAST(id AS INTEGER) > 1",
        "unnest([true, false])",
        "count(*) > 1",
        "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
        "id IN (SELECT content FROM read_text('{secret}'))",
        "(SELECT count(*) FROM '{secret}') > 0",
        "(SELECT count(*) FROM glob('/etc/*')) > 0",
        "(COPY joined TO '{stolen}')",
        "getenv('HOME') IS NOT NULL",
        "(SET enable_external_access = true)",
        "id = 'unclosed",
    ],
)
def test_a_hostile_or_wrong_condition_is_one_line_that_names_it(
    output: Path, tmp_path: Path, expression: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text("id\nx\n")
    names = {"secret": tmp_path / "secret", "stolen": tmp_path / "stolen"}
    expression = expression.format(**names) if "{" in expression else expression
    arguments = ["export", str(output), str(tmp_path / "m.jsonl"), "--format", "nemo", "--where", expression]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"earmark: --where={expression} does not work: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]


@pytest.mark.parametrize(
    ("to", "arguments", "words"),
    [
        ("there.jsonl", ["--format", "nemo"], "there is something already; name another place"),
        ("there", ["--format", "vtt"], "there is something already"),
        ("m.csv", ["--format", "nemo"], "nemo is one file, so name it .jsonl"),
        (
            "m.jsonl",
            ["--format", "nemo", "--task", "transcribe,sing"],
            "--task=sing does not work: the output has answ",
        ),
        ("v", ["--format", "vtt", "--task", "emotion,embed"], "none of emotion, embed answers in text"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(
    output: Path, tmp_path: Path, to: str, arguments: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.jsonl").write_text("mine\n")
    (tmp_path / "there").mkdir()
    assert main(["export", str(output), str(tmp_path / to), *arguments]) == 1
    assert words in capsys.readouterr().err
    assert (tmp_path / "there.jsonl").read_text() == "mine\n" and not list((tmp_path / "there").iterdir())


def test_tasks_choose_what_is_written_and_counts_are_told(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(output), str(tmp_path / "m.jsonl"), "--format", "nemo", "--json"]
    assert main([*arguments, "--task", "caption,embed", "--where", "id = 'a'"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["of"], told["rows"], told["left_out"]) == (len(HOSTILE), 1, {})
    (row,) = json_lines(tmp_path / "m.jsonl")
    assert row["text"] == "a" and "emotion" not in row and "transcribe_flags" not in row and "embed" in row
    assert main(["export", str(output), str(tmp_path / "n.jsonl"), "--format", "nemo"]) == 0
    assert "written" in capsys.readouterr().out


def test_an_export_that_fails_leaves_nothing_and_the_next_one_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_answered(tmp_path / "labels", hostile_rows(tmp_path / "audio"))
    read = OutputStore.batches

    def failing(self: OutputStore, path: str, rows: int) -> Any:
        if path == store.parts()[-1]:
            raise OSError("the disk is gone")
        return read(self, path, rows)

    monkeypatch.setattr(OutputStore, "batches", failing)
    for name in FORMATS:
        arguments = ["export", str(tmp_path / "labels"), str(tmp_path / f"x{SUFFIX.get(name, '')}")]
        assert main([*arguments, "--format", name]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "labels"]
    (tmp_path / "m.jsonl.earmark-partial").write_text("of a killed export\n")
    monkeypatch.setattr(OutputStore, "batches", read)
    export(str(tmp_path / "labels"), str(tmp_path / "m.jsonl"), ExportOptions("nemo"))
    assert len(json_lines(tmp_path / "m.jsonl")) == len(HOSTILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "labels", "m.jsonl"]


def test_to_an_object_store(output: Path) -> None:
    """fsspec's own store in memory, which like those of clouds knows no folders that were not written."""
    import fsspec

    store = fsspec.filesystem("memory")
    for name in FORMATS:
        to = f"memory://bucket/{name}{SUFFIX.get(name, '')}"
        assert export(str(output), to, ExportOptions(name)).rows == len(HOSTILE)
    assert store.exists("/bucket/vtt/a.vtt") and store.exists("/bucket/hf/data/train-00000.parquet")
    assert len(store.cat("/bucket/nemo.jsonl").splitlines()) == len(HOSTILE)
    store.rm("/bucket", recursive=True)
