"""Where `earmark evaluate` finds references, and what becomes of recordings that have none."""

import pytest
from rich.console import Console

import earmark.pipeline.views.scores
from earmark.pipeline.cli import main
from earmark.schemas.errors import JobError
from earmark.scoring.evaluate import evaluate
from earmark.scoring.options import EvaluateOptions
from tests.support.outputs.builder import Row, write_output

QUICK = EvaluateOptions(bootstrap=0)


def test_missing_and_empty_references_are_counted_and_named(tmp_path, monkeypatch, capsys):
    rows = [
        Row("a", {"transcribe": "hello there"}, "hello there"),
        Row("b", {"transcribe": "somebody said this"}, ""),
        Row("c", {"transcribe": "what"}, None),
        Row("d", {"transcribe": ""}, ""),
    ]
    write_output(tmp_path / "out", rows)
    found = evaluate(str(tmp_path / "out"), QUICK).task("transcribe")
    assert (found.rows, found.empty_references, found.insertions_in_empty) == (3, 2, 3)
    assert (found.missing.count, found.missing.first) == (1, ("c",))
    assert found.figure("wer").value == pytest.approx(3 / 2)
    monkeypatch.setattr(earmark.pipeline.views.scores, "console", Console(width=200))
    main(["evaluate", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert "2 empty references, with 3 inserted words" in said
    assert "1 answer without a reference, not scored: c" in said


def test_nothing_but_empty_references_has_no_figure(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, ""), Row("b", {"transcribe": ""}, "...")])
    found = evaluate(str(tmp_path / "out"), EvaluateOptions(bootstrap=10)).task("transcribe")
    assert (found.figure("wer").value, found.figure("wer").low) == (None, None)
    assert main(["evaluate", str(tmp_path / "out"), "--json"]) == 0


def test_no_references_at_all_are_refused_with_the_remedy(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None)])
    with pytest.raises(JobError, match=r"no references of transcribe in the output .*: no row has a reference; name a"):
        evaluate(str(tmp_path / "out"), QUICK)


def test_references_of_other_recordings_are_counted_and_named(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None)])
    references = tmp_path / "r.tsv"
    references.write_text("id\ttext\na\tx\nz\ty\n")
    found = evaluate(str(tmp_path / "out"), EvaluateOptions(references=str(references), bootstrap=0)).task("transcribe")
    assert (found.rows, found.unanswered.count, found.unanswered.first) == (1, 1, ("z",))


def test_references_of_none_but_other_recordings_are_refused_with_ids_of_both(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None), Row("b", None)])
    (tmp_path / "r.jsonl").write_text('{"id": "y", "text": "x"}\n{"id": "z", "text": "x"}\n')
    words = r"r\.jsonl has references of transcribe for y, z, but .*out has answers for a: ids are what .* by; name the"
    with pytest.raises(JobError, match=words):
        evaluate(str(tmp_path / "out"), EvaluateOptions(references=str(tmp_path / "r.jsonl"), bootstrap=0))


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.tsv", "r.parquet"])
def test_references_come_from_any_manifest_and_by_the_audio_s_path_where_there_is_no_id(tmp_path, name):
    import pandas as pd

    write_output(tmp_path / "out", [Row(str(tmp_path / "x.wav"), {"transcribe": "bonjour"}, "hello")])
    frame = pd.DataFrame({"path": ["x.wav"], "sentence": ["bonjour"], "locale": ["fr"]})
    if name.endswith("jsonl"):
        frame.to_json(tmp_path / name, orient="records", lines=True)
    elif name.endswith("parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_csv(tmp_path / name, sep="\t" if name.endswith("tsv") else ",", index=False)
    options = EvaluateOptions(references=str(tmp_path / name), bootstrap=0)
    found = evaluate(str(tmp_path / "out"), options).task("transcribe")
    assert (found.figure("wer").value, found.normalizers) == (0.0, {"basic": 1})


def test_a_file_of_references_with_broken_and_double_rows_says_so(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None)])
    (tmp_path / "r.jsonl").write_text('{"id": "a", "text": "x"}\nnot JSON\n{"id": "a", "text": "y"}\n')
    found = evaluate(str(tmp_path / "out"), EvaluateOptions(references=str(tmp_path / "r.jsonl"), bootstrap=0))
    assert found.task("transcribe").figure("wer").value == 0.0
    assert "1 row " in found.notes[0] and "r.jsonl:2" in found.notes[0]
    assert found.notes[1] == "of several rows of one id the first counts: a"


def test_a_task_s_references_are_not_taken_for_another_s(tmp_path):
    answers = {"transcribe": "hello", "translate": "hallo", "caption": "a voice", "emotion": "joy"}
    rows = [Row("a", answers, "hello", extra={"caption": "a voice", "mood": "joy"}), Row("b", answers, "hello")]
    tasks = ("transcribe", "translate", "caption", "emotion")
    write_output(tmp_path / "out", rows, task=tasks, translate_to="de")
    found = evaluate(str(tmp_path / "out"), QUICK)
    assert [(task.task, task.reference_column, task.rows) for task in found.tasks] == [
        ("transcribe", "reference", 2),
        ("caption", "caption", 1),
    ]
    assert found.skipped["translate"] == "the references are those of transcribe"
    assert found.skipped["emotion"].startswith("no reference is one of its labels, neutral, joy")
    options = EvaluateOptions(task=("emotion",), reference_column=("emotion=mood",), bootstrap=0)
    assert evaluate(str(tmp_path / "out"), options).task("emotion").figure("accuracy").value == 1.0


def test_references_that_are_no_labels_are_wrong_and_named(tmp_path):
    rows = [
        Row("a", {"emotion": "joy"}, "joy"),
        Row("b", {"emotion": "joy"}, "happy"),
        Row("c", {"emotion": "joy"}, ""),
    ]
    write_output(tmp_path / "out", rows, task=("emotion",))
    found = evaluate(str(tmp_path / "out"), QUICK).task("emotion")
    assert found.unknown_labels is not None
    assert (found.figure("accuracy").value, found.unknown_labels.first) == (0.5, ("b",))
    assert found.missing.first == ("c",)
