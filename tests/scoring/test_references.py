"""Sources of references in `earmark evaluate`, and recordings without references."""

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
    scores = evaluate(str(tmp_path / "out"), QUICK).task("transcribe")
    assert (scores.rows, scores.empty_references, scores.insertions_in_empty) == (3, 2, 3)
    assert (scores.missing.count, scores.missing.first) == (1, ("c",))
    assert scores.figure("wer").value == pytest.approx(3 / 2)
    monkeypatch.setattr(earmark.pipeline.views.scores, "console", Console(width=200))
    main(["evaluate", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "2 empty references, with 3 inserted words" in printed
    assert "1 answer without a reference, not scored: c" in printed


def test_empty_references_alone_have_no_figure(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, ""), Row("b", {"transcribe": ""}, "...")])
    scores = evaluate(str(tmp_path / "out"), EvaluateOptions(bootstrap=10)).task("transcribe")
    assert (scores.figure("wer").value, scores.figure("wer").low) == (None, None)
    assert main(["evaluate", str(tmp_path / "out"), "--json"]) == 0


def test_missing_references_are_refused_with_the_remedy(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None)])
    with pytest.raises(JobError, match=r"no references of transcribe in the output .*: no row has a reference; name a"):
        evaluate(str(tmp_path / "out"), QUICK)


def test_references_of_other_recordings_are_counted_and_named(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None)])
    references = tmp_path / "r.tsv"
    references.write_text("id\ttext\na\tx\nz\ty\n")
    scores = evaluate(str(tmp_path / "out"), EvaluateOptions(references=str(references), bootstrap=0)).task(
        "transcribe"
    )
    assert (scores.rows, scores.unanswered.count, scores.unanswered.first) == (1, 1, ("z",))


def test_references_of_only_other_recordings_are_refused_with_ids_of_both(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None), Row("b", None)])
    (tmp_path / "r.jsonl").write_text('{"id": "y", "text": "x"}\n{"id": "z", "text": "x"}\n')
    message = (
        r"r\.jsonl has references of transcribe for y, z, but .*out has answers for a: they are matched by id; name the"
    )
    with pytest.raises(JobError, match=message):
        evaluate(str(tmp_path / "out"), EvaluateOptions(references=str(tmp_path / "r.jsonl"), bootstrap=0))


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.tsv", "r.parquet"])
def test_references_come_from_any_manifest_and_match_by_audio_path_without_ids(tmp_path, name):
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
    scores = evaluate(str(tmp_path / "out"), options).task("transcribe")
    assert (scores.figure("wer").value, scores.normalizers) == (0.0, {"basic": 1})


def test_broken_and_duplicate_rows_of_references_are_reported(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, None)])
    (tmp_path / "r.jsonl").write_text('{"id": "a", "text": "x"}\nnot JSON\n{"id": "a", "text": "y"}\n')
    evaluation = evaluate(str(tmp_path / "out"), EvaluateOptions(references=str(tmp_path / "r.jsonl"), bootstrap=0))
    assert evaluation.task("transcribe").figure("wer").value == 0.0
    assert "1 row " in evaluation.notes[0] and "r.jsonl:2" in evaluation.notes[0]
    assert evaluation.notes[1] == "several rows have one id, and the first counts: a"


def test_references_of_one_task_are_not_used_for_another(tmp_path):
    answers = {"transcribe": "hello", "translate": "hallo", "caption": "a voice", "emotion": "joy"}
    rows = [Row("a", answers, "hello", extra={"caption": "a voice", "mood": "joy"}), Row("b", answers, "hello")]
    tasks = ("transcribe", "translate", "caption", "emotion")
    write_output(tmp_path / "out", rows, task=tasks, translate_to="de")
    evaluation = evaluate(str(tmp_path / "out"), QUICK)
    assert [(task.task, task.reference_column, task.rows) for task in evaluation.tasks] == [
        ("transcribe", "reference", 2),
        ("caption", "caption", 1),
    ]
    assert evaluation.skipped["translate"] == "the references are those of transcribe"
    assert evaluation.skipped["emotion"].startswith("no reference is one of its labels, neutral, joy")
    options = EvaluateOptions(task=("emotion",), reference_column=("emotion=mood",), bootstrap=0)
    assert evaluate(str(tmp_path / "out"), options).task("emotion").figure("accuracy").value == 1.0


def test_references_outside_the_labels_count_as_wrong_and_are_named(tmp_path):
    rows = [
        Row("a", {"emotion": "joy"}, "joy"),
        Row("b", {"emotion": "joy"}, "happy"),
        Row("c", {"emotion": "joy"}, ""),
    ]
    write_output(tmp_path / "out", rows, task=("emotion",))
    scores = evaluate(str(tmp_path / "out"), QUICK).task("emotion")
    assert scores.unknown_labels is not None
    assert (scores.figure("accuracy").value, scores.unknown_labels.first) == (0.5, ("b",))
    assert scores.missing.first == ("c",)
