"""`earmark evaluate`: figures, rows that are left out, and what is printed."""

import json
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from rich.console import Console

import earmark.pipeline.views.scores
from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store
from earmark.schemas.errors import JobError
from earmark.schemas.job_description import SCHEMA_VERSION
from earmark.scoring.evaluate import evaluate
from earmark.scoring.normalizers import find_normalizer
from earmark.scoring.options import EvaluateOptions
from earmark.transforms.output.store import OutputStore
from tests.support.jobs import annotations, run_here, write_manifest, write_tones
from tests.support.outputs.builder import Row, write_output

QUICK = EvaluateOptions(bootstrap=0)


@pytest.fixture(scope="module")
def listened(tmp_path_factory):
    """A real run of eight tones, two wrong references and a file that is not there; and its manifest."""
    folder = tmp_path_factory.mktemp("listened")
    rows = write_tones(folder / "audio", 8)
    rows[2]["text"] += " and a bit"
    rows[5]["text"] = "silence"
    rows.append({"id": "r9999", "audio_filepath": "audio/gone.wav", "text": "four words are gone"})
    for number, row in enumerate(rows):
        row |= {"emotion": ("neutral", "joy")[number % 2], "speaker": f"s{number % 3}"}
    manifest = write_manifest(folder / "m.jsonl", rows)
    run_here(manifest, folder / "out", task=("transcribe", "emotion"), shard_rows=3)
    return folder / "out", manifest, rows


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setattr(earmark.pipeline.views.scores, "console", Console(width=200))


def wer(references, hypotheses):
    clean = find_normalizer("whisper-english").text
    return jiwer.wer([clean(text) for text in references], [clean(text) for text in hypotheses])


@pytest.mark.process
@pytest.mark.model
def test_failures_with_a_reference_count_as_all_words_deleted(listened):
    output, manifest, rows = listened
    scores = evaluate(str(output), EvaluateOptions(references=str(manifest), bootstrap=0)).task("transcribe")
    original = write_tones(output.parent / "again", 8)
    texts = [row["text"] for row in original]
    references = [row["text"] for row in rows]
    assert (scores.rows, scores.failed, scores.failed_without_reference) == (9, 1, 0)
    figure = scores.figure("wer")
    assert figure.value == pytest.approx(wer(references, [*texts, ""]))
    assert figure.without_failures == pytest.approx(wer(references[:8], texts))
    assert scores.words is not None and scores.words.deletions == 4 + 3  # a failure's words, and "and a bit"


def test_a_failed_label_is_a_wrong_one(listened):
    output, manifest, rows = listened
    scores = evaluate(str(output), EvaluateOptions(references=str(manifest), bootstrap=0)).task("emotion")
    assert scores.reference_column == "emotion"
    right = sum(row["emotion"] == "neutral" for row in rows[:8])  # the engine says neutral of everything
    assert rows[8]["emotion"] == "neutral"
    assert scores.figure("accuracy").value == pytest.approx(right / 9)
    assert scores.figure("accuracy").without_failures == pytest.approx(right / 8)
    assert scores.confusion is not None
    assert scores.confusion.hypotheses == ("joy", "neutral", "(failed)")
    assert scores.confusion.counts == ((0, 4, 0), (0, 4, 1))


def test_failures_without_references_are_reported_with_the_remedy(listened, wide, capsys):
    output, _, _ = listened
    scores = evaluate(str(output), QUICK).task("transcribe")
    assert (scores.rows, scores.failed, scores.failed_without_reference) == (8, 0, 1)
    assert main(["evaluate", str(output), "--bootstrap", "0"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 more failed without a known reference; name the manifest with --references" in printed


def test_merged_parts_are_read_once_and_give_the_same(listened, tmp_path, monkeypatch):
    monkeypatch.setattr("earmark.pipeline.compact.LISTING_S", 0.0)
    rows = [Row(f"r{number}", {"transcribe": "a b c"}, "a b d" if number % 3 else "a") for number in range(20)]
    store = write_output(tmp_path / "out", rows, rows_a_part=3)
    options = EvaluateOptions(bootstrap=50)
    before = evaluate(str(tmp_path / "out"), options)
    compact_store(store, 2**20)
    assert len(store.parts()) == 1
    assert evaluate(str(tmp_path / "out"), options) == before


def test_remains_of_an_interrupted_compaction_are_not_counted_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("earmark.pipeline.compact.LISTING_S", 0.0)
    rows = [Row(f"r{number}", {"transcribe": "a"}, "a") for number in range(6)]
    store = write_output(tmp_path / "out", rows, rows_a_part=3)
    parts = dict(store.read_all(store.parts()))
    compact_store(store, 2**20)
    for path, content in parts.items():
        store.create(path, content)
    assert evaluate(str(tmp_path / "out"), QUICK).task("transcribe").rows == 6


def test_an_id_that_is_annotated_twice_is_refused(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, "x"), Row("b", {"transcribe": "x"}, "x")])
    write_output(tmp_path / "out", [Row("a", {"transcribe": "y"}, "x")])
    with pytest.raises(JobError, match="has several annotations of a;"):
        evaluate(str(tmp_path / "out"), QUICK)


def test_calibrated_scores_have_no_calibration_error(tmp_path):
    rows = [Row(f"{n}", {"emotion": "joy"}, "joy" if n % 4 else "anger", score=0.75) for n in range(40)]
    rows += [Row(f"h{n}", {"emotion": "joy"}, "anger", score=0.9) for n in range(10)]
    write_output(tmp_path / "out", rows, task=("emotion",))
    calibration = evaluate(str(tmp_path / "out"), QUICK).task("emotion").calibration
    assert calibration is not None
    assert calibration.ece == pytest.approx(0.2 * 0.9, abs=1e-6)
    assert [(interval.rows, round(interval.accuracy, 2)) for interval in calibration.bins] == [(40, 0.75), (10, 0.0)]


def test_figures_are_broken_down_by_length_level_and_any_column(listened):
    output, manifest, rows = listened
    options = EvaluateOptions(
        references=str(manifest), by=("duration", "rms_dbfs", "audio.codec", "speaker", "language"), bootstrap=0
    )
    scores = evaluate(str(output), options).task("transcribe")
    rows_in = {(group.column, group.value): group.rows for group in scores.groups}
    assert rows_in["duration", "below 2"] == 8
    assert rows_in["duration", "(not known)"] == 1  # a failed recording has no length
    (codec,) = {row["audio"]["codec"] for row in annotations(output)}
    assert rows_in["audio.codec", codec] == 8
    assert rows_in["language", "en"] == 8
    assert [rows_in["speaker", f"s{number}"] for number in range(3)] == [3, 3, 3]
    wrong = {rows[number]["speaker"] for number in (2, 5, 8)}
    assert {group.value for group in scores.groups if group.column == "speaker" and group.figures["wer"]} == wrong
    assert sum(rows_in[key] for key in rows_in if key[0] == "rms_dbfs") == 9


def test_numbers_are_grouped_in_their_order_and_small_groups_of_a_column_are_one(tmp_path):
    rows = [
        Row(f"{n:03d}", {"transcribe": "a"}, "a", duration_s=float(n), extra={"who": f"w{min(n, 50)}"})
        for n in range(90)
    ]
    write_output(tmp_path / "out", rows)
    scores = evaluate(str(tmp_path / "out"), EvaluateOptions(by=("duration", "who"), bootstrap=0)).task("transcribe")
    lengths = [(group.value, group.rows) for group in scores.groups if group.column == "duration"]
    assert lengths == [
        ("below 2", 2),
        ("2 to 5", 3),
        ("5 to 10", 5),
        ("10 to 20", 10),
        ("20 to 30", 10),
        ("30 to 60", 30),
        ("60 and above", 30),
    ]
    who = [(group.value, group.rows) for group in scores.groups if group.column == "who"]
    assert len(who) == 31 and who[-1] == ("(21 others)", 21)
    assert ("w50", 40) in who


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalizer": "english"}, "--normalizer=english does not work: choose from whisper-english"),
        ({"score_as": "wer"}, "--score_as=wer does not work: choose from transcript"),
        ({"task": ("caption",)}, "--task=caption does not work: .* has answers to transcribe"),
        ({"by": ("nothing",)}, "--by=nothing does not work: no row"),
        ({"by": ("audio.snr",)}, "--by=audio.snr does not work: audio has duration_s"),
        ({"worst": -1}, "--worst=-1 does not work"),
        ({"bootstrap": -1}, "--bootstrap=-1 does not work"),
        ({"reference_column": ("nothing",)}, "no row has a value in the column 'nothing'"),
        (
            {"reference_column": ("transcibe=text",)},
            "--reference_column=transcibe=text does not work: the output answers transcribe, not transcibe",
        ),
        ({"references": "nowhere.jsonl"}, "there is no manifest nowhere.jsonl"),
    ],
)
def test_invalid_options_are_refused_with_the_remedy(tmp_path, options, message):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, "x")])
    with pytest.raises(JobError, match=message):
        evaluate(str(tmp_path / "out"), EvaluateOptions(**{"bootstrap": 0, **options}))


def test_a_folder_that_is_not_an_output_is_refused(tmp_path):
    with pytest.raises(JobError, match="is not an output of earmark"):
        evaluate(str(tmp_path), QUICK)
    OutputStore(str(tmp_path)).create("_earmark/job.json", b'{"tasks": 5}')
    with pytest.raises(JobError, match="is damaged"):
        evaluate(str(tmp_path), QUICK)


def test_the_worst_rows_come_aligned_and_markup_stays_text(tmp_path, wide, capsys):
    rows = [
        Row("[red]r1[/red]", {"transcribe": "the [bold]cat sat"}, "the cat sat on"),
        Row("r2", {"transcribe": "fine"}, "fine"),
        Row("[/]", None),
        Row("r3", {"transcribe": "no"}, "yes [link=x]"),
    ]
    write_output(tmp_path / "out", rows)
    assert main(["evaluate", str(tmp_path / "out"), "--worst", "3", "--by", "language"]) == 0
    printed = capsys.readouterr().out
    lines = [line.strip() for line in printed.splitlines()]
    assert lines.index("r3") < lines.index("[red]r1[/red]")
    at = lines.index("[red]r1[/red]")
    assert lines[at + 1] == "ref  the cat sat ON"
    assert lines[at + 2] == "hyp  the cat sat ··"
    assert "r2" not in lines


def test_json_has_the_figures_of_the_table(tmp_path, capsys):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x y"}, "x z"), Row("b", {"transcribe": "é"}, "é")])
    assert main(["evaluate", str(tmp_path / "out"), "--json", "--by", "language", "--worst", "1", "--seed", "4"]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    (task,) = evaluation["tasks"]
    assert task["figures"][0] | {"low": 0, "high": 1} == {
        "name": "wer",
        "value": pytest.approx(1 / 3),
        "low": 0,
        "high": 1,
        "without_failures": pytest.approx(1 / 3),
    }
    assert (evaluation["seed"], evaluation["bootstrap"], task["rows"]) == (4, 1000, 2)
    assert task["worst"][0]["lines"] == [["x Z", "x Y"]]


def test_an_answer_can_be_scored_by_another_measure(tmp_path):
    rows = [Row("a", {"analyze": "yes"}, "yes"), Row("b", {"analyze": "No."}, "no")]
    write_output(tmp_path / "out", rows, task=("analyze",), prompt="Is it?")
    as_text = evaluate(str(tmp_path / "out"), QUICK).task("analyze")
    as_label = evaluate(str(tmp_path / "out"), EvaluateOptions(score_as="label", bootstrap=0)).task("analyze")
    assert [figure.name for figure in as_text.figures] == ["bleu", "chrf"]
    assert as_label.figure("accuracy").value == 0.5


def test_an_interval_is_the_same_for_a_seed_and_holds_the_figure(tmp_path):
    chance = np.random.default_rng(3)
    rows = [
        Row(f"{n}", {"transcribe": "a b c d"}, "a b c d" if chance.random() < 0.7 else "a x c y") for n in range(60)
    ]
    write_output(tmp_path / "out", rows)
    one, same, other = (
        evaluate(str(tmp_path / "out"), EvaluateOptions(bootstrap=200, seed=seed)).task("transcribe").figure("wer")
        for seed in (1, 1, 2)
    )
    assert one == same != other
    assert one.low is not None and one.high is not None and one.value is not None
    assert one.low < one.value < one.high


@pytest.mark.process
def test_evaluating_loads_neither_beam_nor_torch(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, "x")])
    (tmp_path / "r.jsonl").write_text('{"id": "a", "text": "x"}\n')
    code = (
        "import sys, earmark.pipeline.cli\n"
        "earmark.pipeline.cli.main(sys.argv[1:])\n"
        "print('heavy:', {'apache_beam', 'torch', 'transformers', 'librosa'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "evaluate", str(tmp_path / "out"), "--references", str(tmp_path / "r.jsonl")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("heavy: set()\n")


def test_an_output_of_another_version_is_refused_with_both_versions(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, "x")])
    path = tmp_path / "out" / "_earmark" / "job.json"
    path.write_text(path.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 1'))
    message = (
        rf"out was made by another version of earmark: its schema is version 1, this earmark's is {SCHEMA_VERSION};"
    )
    with pytest.raises(JobError, match=message):
        evaluate(str(tmp_path / "out"), QUICK)
    manifest = write_manifest(tmp_path / "m.jsonl", [])
    with pytest.raises(JobError, match=message):
        run_here(manifest, tmp_path / "out")
