"""`earmark export`: rows in NeMo manifests and CSV, and invalid options."""

import csv
import json
import re

import pytest

from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store
from earmark.reporting.export.export import export
from earmark.reporting.export.formats import FORMATS
from earmark.reporting.export.options import ExportOptions
from earmark.transforms.output.store import OutputStore
from tests.support.audio.noise import write_noise
from tests.support.jobs import annotations, manifest_lines, run_here, write_manifest
from tests.support.outputs.export_rows import HOSTILE, answered_row, hostile_rows, write_answered

SUFFIX = {"nemo": ".jsonl", "csv": ".csv"}


def test_the_nemo_manifest_has_each_row_with_its_answers(hostile_output, tmp_path):
    exported = export(str(hostile_output), str(tmp_path / "m.jsonl"), ExportOptions("nemo"))
    rows = {row["id"]: row for row in manifest_lines(tmp_path / "m.jsonl")}
    assert exported.rows == exported.of == len(HOSTILE) and rows.keys() == set(HOSTILE)
    for annotation in annotations(hostile_output):
        row = rows[annotation["id"]]
        assert row["audio_filepath"] == annotation["uri"] and row["duration"] == annotation["audio"]["duration_s"]
        assert (row["text"], row["lang"], row["caption"]) == (f"{row['id']} and", "en", row["id"])
        assert (row["emotion"], row["emotion_score"]) == ("joy", 0.5)
        assert row["embed"] == [0.5, -1.0, 0.25] and row["=note"] == row["id"]


@pytest.mark.model
def test_parts_of_files_keep_their_offsets_and_can_be_annotated_again(tmp_path):
    audio = write_noise(tmp_path / "x.wav", 3.0, channels=2)
    parts = [{"offset": 0.5, "duration": 1.5, "channel": 1}, {"duration": 2.0}, {"offset": 1, "channel": 0}]
    rows = [{"id": f"{number}", "audio_filepath": str(audio), "mood": "x", **part} for number, part in enumerate(parts)]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "labels")
    export(str(tmp_path / "labels"), str(tmp_path / "again.jsonl"), ExportOptions("nemo"))
    offsets = {row["id"]: row.get("offset", 0) for row in manifest_lines(tmp_path / "again.jsonl")}
    assert offsets == {"0": 0.5, "1": 0, "2": 1.0}
    run_here(tmp_path / "again.jsonl", tmp_path / "again")
    before, after = annotations(tmp_path / "labels"), annotations(tmp_path / "again")
    assert [row["transcribe"]["text"] for row in after] == [row["transcribe"]["text"] for row in before]
    assert [row["reference"] for row in after] == [row["transcribe"]["text"] for row in before]


def test_a_column_of_the_manifest_does_not_replace_an_answer(tmp_path):
    path = write_noise(tmp_path / "a.wav")
    row = answered_row("a", "of the model", path, extra={"caption": "of the row", "mood": "x"})
    write_answered(tmp_path / "labels", [row])
    export(str(tmp_path / "labels"), str(tmp_path / "m.jsonl"), ExportOptions("nemo"))
    (line,) = manifest_lines(tmp_path / "m.jsonl")
    assert (line["caption"], line["manifest_caption"], line["mood"]) == ("of the model", "of the row", "x")


def test_csv_has_every_value_and_no_formula(hostile_output, tmp_path):
    export(str(hostile_output), str(tmp_path / "t.csv"), ExportOptions("csv"))
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


@pytest.mark.parametrize("format", FORMATS)
def test_a_condition_chooses_rows_also_of_a_compacted_output(tmp_path, format):
    paths = [write_noise(tmp_path / "audio" / f"{number}.wav") for number in range(12)]
    rows = [
        answered_row(f"r{number:02d}", "x", path, flags=("repetition",) if number % 3 == 0 else ())
        for number, path in enumerate(paths)
    ]
    store = write_answered(tmp_path / "labels", rows, rows_a_part=4)
    compact_store(store, 2**27)
    to = tmp_path / f"to{SUFFIX.get(format, '')}"
    where = "emotion.score < 0.8 and 'repetition' not in transcribe.flags and extra['speaker'] = 's1'"
    exported = export(str(tmp_path / "labels"), str(to), ExportOptions(format, where))
    assert (exported.of, exported.rows, exported.unknown) == (12, 8, 0)
    listed = "not list_contains(transcribe.flags, 'repetition') and len(embed) = 3"
    repeated = export(str(tmp_path / "labels"), str(tmp_path / f"2{to.suffix}"), ExportOptions(format, listed))
    assert repeated.rows == 8
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
def test_a_hostile_or_invalid_condition_is_refused_by_name(hostile_output, tmp_path, expression, capsys):
    (tmp_path / "secret").write_text("id\nx\n")
    names = {"secret": tmp_path / "secret", "stolen": tmp_path / "stolen"}
    expression = expression.format(**names) if "{" in expression else expression
    arguments = ["export", str(hostile_output), str(tmp_path / "m.jsonl"), "--format", "nemo", "--where", expression]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"earmark: --where={expression} does not work: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]


@pytest.mark.parametrize(
    ("to", "arguments", "message"),
    [
        ("there.jsonl", ["--format", "nemo"], "it exists already; choose another name"),
        ("there", ["--format", "vtt"], "it exists already"),
        ("m.csv", ["--format", "nemo"], "nemo is one file, so name it .jsonl"),
        (
            "m.jsonl",
            ["--format", "nemo", "--task", "transcribe,sing"],
            "--task=sing does not work: the output has answ",
        ),
        ("v", ["--format", "vtt", "--task", "emotion,embed"], "none of emotion, embed answers in text"),
    ],
)
def test_invalid_options_are_refused_with_the_remedy(
    hostile_output,
    tmp_path,
    to,
    arguments,
    message,
    capsys,
):
    (tmp_path / "there.jsonl").write_text("mine\n")
    (tmp_path / "there").mkdir()
    assert main(["export", str(hostile_output), str(tmp_path / to), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert (tmp_path / "there.jsonl").read_text() == "mine\n" and not list((tmp_path / "there").iterdir())


def test_only_chosen_tasks_are_written_and_counts_are_printed(hostile_output, tmp_path, capsys):
    arguments = ["export", str(hostile_output), str(tmp_path / "m.jsonl"), "--format", "nemo", "--json"]
    assert main([*arguments, "--task", "caption,embed", "--where", "id = 'a'"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["of"], printed["rows"], printed["left_out"]) == (len(HOSTILE), 1, {})
    (row,) = manifest_lines(tmp_path / "m.jsonl")
    assert row["text"] == "a" and "emotion" not in row and "transcribe_flags" not in row and "embed" in row
    assert main(["export", str(hostile_output), str(tmp_path / "n.jsonl"), "--format", "nemo"]) == 0
    assert "written" in capsys.readouterr().out


def test_a_failed_export_leaves_nothing_and_the_next_one_succeeds(tmp_path, monkeypatch):
    store = write_answered(tmp_path / "labels", hostile_rows(tmp_path / "audio"))
    read = OutputStore.batches

    def failing(self, path, rows):
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
    assert len(manifest_lines(tmp_path / "m.jsonl")) == len(HOSTILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "labels", "m.jsonl"]


def test_to_an_object_store(hostile_output):
    """fsspec's own store in memory, which like those of clouds has no folders that were not written."""
    import fsspec

    store = fsspec.filesystem("memory")
    for name in FORMATS:
        to = f"memory://bucket/{name}{SUFFIX.get(name, '')}"
        assert export(str(hostile_output), to, ExportOptions(name)).rows == len(HOSTILE)
    assert store.exists("/bucket/vtt/a.vtt") and store.exists("/bucket/hf/data/train-00000.parquet")
    assert len(store.cat("/bucket/nemo.jsonl").splitlines()) == len(HOSTILE)
    store.rm("/bucket", recursive=True)
