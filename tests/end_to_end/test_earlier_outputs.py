"""Outputs of an earlier commit open in every command and give the same scores and files as they did then."""

import json
import shutil
from pathlib import Path

import pytest

from earmark.pipeline.cli import main
from tests.support.jobs import EXAMPLES, TINY, annotations, failures, write_manifest

EARLIER = Path(__file__).parents[1] / "data" / "outputs_of_2c0d655"
TAR_ROW = "tar://0004.flac::file:///data/calls/more.tar"


@pytest.fixture
def labels(tmp_path):
    return str(shutil.copytree(EARLIER / "labels", tmp_path / "labels"))


@pytest.fixture
def vectors(tmp_path):
    return str(shutil.copytree(EARLIER / "vectors", tmp_path / "vectors"))


def printed(capsys, *arguments):
    """Stdout of a command that succeeds."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) in (0, None)
    return capsys.readouterr().out


def files_in(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_its_scores_are_the_same(labels, capsys):
    scores = json.loads(printed(capsys, "evaluate", labels, "--json"))
    expected = json.loads((EARLIER / "expected" / "evaluate.json").read_text())
    assert {**scores, "output": ""} == {**expected, "output": ""}


@pytest.mark.parametrize(
    ("name", "output_format", "file"),
    [("labels", "csv", "labels.csv"), ("labels", "nemo", "labels.jsonl"), ("vectors", "csv", "vectors.csv")],
)
def test_its_exports_are_the_same(tmp_path, name, output_format, file, capsys):
    printed(capsys, "export", EARLIER / name, tmp_path / file, "--format", output_format)
    assert (tmp_path / file).read_text() == (EARLIER / "expected" / file).read_text()


def test_its_captions_are_the_same(tmp_path, capsys):
    printed(capsys, "export", EARLIER / "labels", tmp_path / "srt", "--format", "srt")
    assert files_in(tmp_path / "srt") == files_in(EARLIER / "expected" / "srt")


def test_compare_finds_no_difference_to_itself(labels, capsys):
    text = printed(capsys, "compare", labels, EARLIER / "labels", "--task", "caption", "--json")
    (agreement,) = json.loads(text)["agreements"]
    assert (agreement["rows"], agreement["differing"]) == (6, 0)


@pytest.mark.parametrize("row_id", ["scene-0", TAR_ROW, "broken"])
def test_inspect_shows_its_rows(labels, row_id, capsys):
    text = printed(capsys, "inspect", labels, row_id)
    row = next(row for row in annotations(labels) + failures(labels) if row["id"] == row_id)
    assert (row["message"] if "message" in row else row["transcribe"]["text"]) in " ".join(text.split())
    assert "0.1.0" in text  # the version of earmark in its run.json


def test_report_and_card_are_written_from_it(labels, capsys):
    printed(capsys, "report", labels)
    assert "scene-0" in (Path(labels) / "report.html").read_text()
    printed(capsys, "card", labels)
    assert "transcribe" in (Path(labels) / "README.md").read_text()


def test_parts_are_listed_before_and_after_compact(labels, capsys):
    before = annotations(labels)
    assert len(printed(capsys, "parts", labels).splitlines()) == 3
    printed(capsys, "compact", labels)
    assert len(printed(capsys, "parts", labels).splitlines()) == 1
    assert annotations(labels) == before


@pytest.mark.model
def test_annotate_and_plan_resume_it(labels, tmp_path, capsys):
    before = annotations(labels)
    rows = [{"id": row["id"], "audio": row["uri"]} for row in before if row["extra"]]
    rows += [{"id": "new", "audio": str(EXAMPLES / "scenes" / "0006.flac")}]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    model = ["--task", "transcribe,caption,emotion", "--timestamps", "--model", f"{TINY},transcribe=whisper-tiny.en"]
    planned = json.loads(printed(capsys, "plan", manifest, labels, *model, "--probe", 0, "--json"))["plan"]
    assert (planned["recordings"], planned["already_annotated"]) == (1, 4)
    summary = json.loads(printed(capsys, "annotate", manifest, labels, *model, "--json"))
    assert (summary["annotated"], summary["already_annotated"], summary["adds_up"]) == (1, 4, True)
    after = annotations(labels)
    assert [row for row in after if row["id"] != "new"] == before
    assert len(after) == len(before) + 1
