"""`earmark compare` and `--keep`: systems on the same recordings, against references and against each other."""

import json
from itertools import combinations

import jiwer
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import cohen_kappa_score

import earmark.pipeline.views.scores
from earmark.pipeline.cli import main
from earmark.schemas.errors import JobError
from earmark.scoring.compare import compare
from earmark.scoring.evaluate import evaluate
from earmark.scoring.keep import KeepOptions
from earmark.scoring.options import EvaluateOptions
from tests.support.jobs import annotations, manifest_lines, run_here, transcripts, write_manifest, write_tones
from tests.support.outputs.builder import Row, write_output

QUICK = EvaluateOptions(bootstrap=0)
WORDS = ("red", "green", "blue", "yellow", "black")


def noisy_transcript(chance, errors):
    return " ".join(word if chance.random() > errors else chance.choice(WORDS) for word in WORDS)


@pytest.fixture
def two(tmp_path):
    """Two systems on forty recordings, of which B fails at one and A lacks another."""
    chance = np.random.default_rng(5)
    ids = [f"r{number:02d}" for number in range(40)]
    reference = " ".join(WORDS)
    a = [Row(id, {"transcribe": noisy_transcript(chance, 0.1)}, reference, extra={"who": "[b]x[/b]"}) for id in ids]
    b = [Row(id, {"transcribe": noisy_transcript(chance, 0.3)}, reference) for id in ids]
    b[7] = Row("r07", None)
    write_output(tmp_path / "a", a[:39])
    write_output(tmp_path / "b", b, rows_a_part=9)
    return tmp_path / "a", tmp_path / "b", a[:39], b[:39]


def transcript_of(row):
    return (row.answers or {"transcribe": ""})["transcribe"]


def test_systems_are_scored_on_their_common_recordings(two):
    a, b, rows_a, rows_b = two
    comparison = compare([str(a), str(b)], QUICK)
    assert (comparison.rows, comparison.with_reference) == (39, 39)
    references = [row.reference or " ".join(WORDS) for row in rows_a]
    for system, rows in zip(comparison.systems, (rows_a, rows_b), strict=True):
        direct = jiwer.wer(references, [transcript_of(row) for row in rows])
        assert system.figures[0].value == pytest.approx(direct)
    assert comparison.systems[0].lacks.first == ("r39",)
    assert (comparison.systems[1].lacks.count, comparison.systems[1].failed) == (0, 1)
    difference = comparison.differences[0].value
    assert difference == pytest.approx(comparison.systems[1].figures[0].value - comparison.systems[0].figures[0].value)


def test_each_system_has_the_interval_that_evaluate_gives_it(two):
    a, b, _, rows_b = two
    write_output(b.parent / "alone", rows_b)
    (b.parent / "r.jsonl").write_text(
        "".join(json.dumps({"id": row.id, "text": " ".join(WORDS)}) + "\n" for row in rows_b)
    )
    options = EvaluateOptions(references=str(b.parent / "r.jsonl"), bootstrap=100, seed=3)
    alone = evaluate(str(b.parent / "alone"), options).task("transcribe")
    assert compare([str(a), str(b)], options).systems[1].figures == alone.figures


def test_a_paired_interval_is_narrower_than_those_of_the_two_systems(tmp_path):
    """Where B always has one word error more than A, the interval of the difference has no width."""
    chance = np.random.default_rng(1)
    rows_a, rows_b = [], []
    for number in range(50):
        wrong = int(chance.integers(0, 9))
        reference = " ".join(f"w{word}" for word in range(10))
        for rows, errors in ((rows_a, wrong), (rows_b, wrong + 1)):
            words = [f"w{word}" if word >= errors else "x" for word in range(10)]
            rows.append(Row(f"{number}", {"transcribe": " ".join(words)}, reference))
    write_output(tmp_path / "a", rows_a)
    write_output(tmp_path / "b", rows_b)
    comparison = compare([str(tmp_path / "a"), str(tmp_path / "b")], EvaluateOptions(bootstrap=200))
    figure, difference = comparison.systems[0].figures[0], comparison.differences[0]
    assert figure.high - figure.low > 0.05
    assert (difference.low, difference.value, difference.high) == pytest.approx((0.1, 0.1, 0.1))


def test_agreement_is_the_error_rate_of_one_system_against_the_other(two):
    a, b, rows_a, rows_b = two
    (agreement,) = compare([str(a), str(b)], QUICK).agreements
    both = [
        (transcript_of(row_a), transcript_of(row_b))
        for row_a, row_b in zip(rows_a, rows_b, strict=True)
        if row_b.answers
    ]
    assert agreement.rows == 38
    assert agreement.differing == sum(a != b for a, b in both)
    assert agreement.figures["wer"] == pytest.approx(jiwer.wer([a for a, _ in both], [b for _, b in both]))


def test_labels_have_agreement_and_kappa(tmp_path):
    chance = np.random.default_rng(2)
    labels = ("neutral", "joy", "anger")
    answers = [[str(chance.choice(labels)) for _ in range(60)] for _ in range(3)]
    for name, its in zip("abc", answers, strict=True):
        write_output(
            tmp_path / name, [Row(f"{n}", {"emotion": label}) for n, label in enumerate(its)], task=("emotion",)
        )
    comparison = compare([str(tmp_path / name) for name in "abc"], QUICK)
    assert comparison.no_references == "no row has a reference"
    assert not comparison.differences and not comparison.systems[0].figures
    for agreement, (first, second) in zip(comparison.agreements, combinations(answers, 2), strict=True):
        assert agreement.figures["kappa"] == pytest.approx(cohen_kappa_score(first, second))
        assert agreement.figures["agreement"] == pytest.approx(np.mean(np.array(first) == np.array(second)))


def test_rows_that_differ_most_come_first_and_markup_stays_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(earmark.pipeline.views.scores, "console", Console(width=200))
    monkeypatch.setattr("earmark.pipeline.views.comparison.console", earmark.pipeline.views.scores.console)
    write_output(tmp_path / "a", [Row(f"[i]{n}[/i]", {"transcribe": "[b]one two[/b]"}) for n in range(3)])
    write_output(
        tmp_path / "b", [Row(f"[i]{n}[/i]", {"transcribe": ("x", "[b]one two[/b]", "one")[n]}) for n in range(3)]
    )
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--worst", "5", "--normalizer", "none"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "[i]0[/i]" in lines and "[i]2[/i]" in lines and "[i]1[/i]" not in lines
    assert lines[lines.index("[i]0[/i]") + 1] == "A          [b]one two[/b]"


@pytest.mark.model
def test_real_runs_are_compared(tmp_path):
    rows = write_tones(tmp_path / "audio", 5)
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    for name in ("a", "b"):
        run_here(manifest, tmp_path / name, shard_rows=2)
    comparison = compare([str(tmp_path / "a"), str(tmp_path / "b")], QUICK)
    assert [system.figures[0].value for system in comparison.systems] == [0.0, 0.0]
    assert (comparison.agreements[0].rows, comparison.agreements[0].differing) == (5, 0)


@pytest.mark.parametrize(
    ("outputs", "options", "message"),
    [
        ([], QUICK, "1 output given; name 2 to 26"),
        (["other"], QUICK, "have no recording in common"),
        (["labels"], QUICK, "the outputs have no task in common: transcribe; emotion"),
        (["a"], EvaluateOptions(task=("caption",)), "--task=caption does not work"),
        (["a"], EvaluateOptions(reference_column=("nothing",)), "no row has a value in the column 'nothing'"),
        (["nowhere"], QUICK, "is not an output of earmark"),
    ],
)
def test_incomparable_outputs_are_refused(tmp_path, outputs, options, message):
    write_output(tmp_path / "a", [Row("a", {"transcribe": "x"}, "x")])
    write_output(tmp_path / "other", [Row("z", {"transcribe": "x"}, "x")])
    write_output(tmp_path / "labels", [Row("a", {"emotion": "joy"}, "x")], task=("emotion",))
    with pytest.raises(JobError, match=message):
        compare([str(tmp_path / name) for name in ["a", *outputs]], options)


def keep(two, expression, to, **options):
    return compare(
        [str(two[0]), str(two[1])], EvaluateOptions(bootstrap=0, **options), KeepOptions(expression, str(to))
    )


def test_passing_rows_are_a_manifest_with_the_text_of_a(two, tmp_path):
    to = tmp_path / "kept.jsonl"
    comparison = keep(two, "wer(A, B) < 0.3 AND extra['who'] LIKE '[b]%'", to)
    _, _, rows_a, rows_b = two
    passing = [
        row_a
        for row_a, row_b in zip(rows_a, rows_b, strict=True)
        if row_b.answers and jiwer.wer(transcript_of(row_a), transcript_of(row_b)) < 0.3
    ]
    assert 0 < len(passing) < 38
    assert manifest_lines(to) == [
        {
            "id": row.id,
            "audio_filepath": f"/audio/{row.id}.wav",
            "text": transcript_of(row),
            "duration": row.duration_s,
            "language": "en",
            "who": "[b]x[/b]",
        }
        for row in passing
    ]
    assert comparison.kept is not None
    assert (comparison.kept.rows, comparison.kept.of, comparison.kept.unknown) == (len(passing), 39, 1)


@pytest.mark.model
def test_the_kept_manifest_can_be_annotated(tmp_path):
    rows = write_tones(tmp_path / "audio", 4)
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    for name in ("a", "b"):
        run_here(manifest, tmp_path / name)
    options = [str(tmp_path / "a"), str(tmp_path / "b"), "--keep", "wer(A, B) = 0 and number <> '2'"]
    broken = main(["compare", *options, "--to", str(tmp_path / "kept.jsonl")])
    assert broken == 1  # `number` is in extra
    options[-1] = "wer(A, B) = 0 and extra['number'] <> '2'"
    assert main(["compare", *options, "--to", str(tmp_path / "kept.jsonl")]) == 0
    assert run_here(tmp_path / "kept.jsonl", tmp_path / "again").annotated == 3
    passing = manifest_lines(tmp_path / "kept.jsonl")
    assert [row["text"] for row in passing] == [rows[number]["text"] for number in (0, 1, 3)]


@pytest.mark.model
def test_offsets_and_channels_are_in_the_kept_manifest(tmp_path):
    samples = np.stack([np.full(48_000, 0.1), np.linspace(-0.5, 0.5, 48_000)], axis=1)
    soundfile.write(tmp_path / "x.wav", samples, 16_000)
    parts = [{"offset": 0.5, "duration": 1.5, "channel": 1}, {"duration": 2.0}, {"offset": 1, "channel": 0}]
    rows = [{"id": f"{number}", "audio_filepath": "x.wav", **part} for number, part in enumerate(parts)]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    for name in ("a", "b"):
        run_here(manifest, tmp_path / name)
    keep((tmp_path / "a", tmp_path / "b"), "id <> '1'", tmp_path / "kept.jsonl")
    run_here(tmp_path / "kept.jsonl", tmp_path / "again")
    texts = transcripts(tmp_path / "a")
    assert len(set(texts.values())) == 3
    assert transcripts(tmp_path / "again") == {id: texts[id] for id in ("0", "2")}
    assert [(row["offset_s"], row["channel"]) for row in annotations(tmp_path / "a")] == [
        (0.5, 1),
        (0.0, None),
        (1.0, 0),
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "wer(A, B)",
        "wer(A)",
        "wer(A, Z) < 1",
        "nonsense(A) > 1",
        "true) UNION SELECT 1 --",
        "1 = 1; DROP TABLE joined",
        "true, false",
        "*",
        "CAST(A AS INTEGER) > 1",
        "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
        "id IN (SELECT content FROM read_text('{secret}'))",
        "(SELECT count(*) FROM '{secret}') > 0",
        "(SELECT count(*) FROM glob('/etc/*')) > 0",
        "(COPY joined TO '{stolen}')",
        "getenv('HOME') IS NOT NULL",
        "(SET enable_external_access = true)",
        "A = 'unclosed",
        "unnest([true, false])",
    ],
)
def test_a_hostile_or_invalid_condition_is_refused_by_name(two, tmp_path, expression, capsys):
    (tmp_path / "secret").write_text("id\nx\n")
    names = {"secret": tmp_path / "secret", "stolen": tmp_path / "stolen"}
    expression = expression.format(**names) if "{" in expression else expression
    arguments = ["compare", str(two[0]), str(two[1]), "--bootstrap", "0", "--to", str(tmp_path / "kept.jsonl")]
    assert main([*arguments, "--keep", expression]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"earmark: --keep={expression} does not work: " if expression else "earmark: --to=")
    assert not (tmp_path / "kept.jsonl").exists()
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    ("keep_option", "to", "message"),
    [
        ("true", "", "name the manifest to write with --to"),
        ("true", "kept.txt", "the manifest is JSONL"),
        ("true", "there.jsonl", "it exists already"),
    ],
)
def test_the_target_is_checked_before_any_input_is_read(tmp_path, monkeypatch, keep_option, to, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.jsonl").write_text("kept\n")
    with pytest.raises(JobError, match=message):
        compare(["nowhere", "nowhere"], QUICK, KeepOptions(keep_option, to))
    assert (tmp_path / "there.jsonl").read_text() == "kept\n"


def test_a_failed_recording_needs_no_normalizer(tmp_path):
    rows = [Row("r0", {"transcribe": "a colour"}), Row("r1", None)]
    two = [write_output(tmp_path / name, rows).root for name in ("a", "b")]
    comparison = keep(two, "wer(A, B) = 0", tmp_path / "kept.jsonl")
    assert comparison.kept is not None
    assert (comparison.kept.rows, comparison.kept.of) == (1, 2)


def test_several_normalizers_are_listed_in_the_error(tmp_path):
    texts_by_language = {"en": ("colour", "color"), "zh": ("你好", "你 好!"), "fr": ("Ça", "Ca")}
    for name, number in (("a", 0), ("b", 1)):
        rows = [
            Row(f"r-{code}", {"transcribe": texts[number]}, language=code) for code, texts in texts_by_language.items()
        ]
        write_output(tmp_path / name, rows)
    two = tmp_path / "a", tmp_path / "b"
    with pytest.raises(JobError, match="need several normalisers, basic, chinese, whisper-english; name one"):
        keep(two, "wer(A, B) < 0.1", tmp_path / "kept.jsonl")
    keep(two, "wer_in(A, B, language) < 0.1", tmp_path / "kept.jsonl")
    assert [row["id"] for row in manifest_lines(tmp_path / "kept.jsonl")] == ["r-en", "r-zh"]
    keep(two, "cer(A, B) < 0.6", tmp_path / "more.jsonl", normalizer="basic")
    assert [row["id"] for row in manifest_lines(tmp_path / "more.jsonl")] == ["r-en", "r-fr", "r-zh"]


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=15)
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=8))
def test_any_text_can_be_compared(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("any")
    for name, number in (("a", 0), ("b", 1)):
        rows = [Row(f"{n}", {"transcribe": pair[number]}, pair[0]) for n, pair in enumerate(texts)]
        write_output(folder / name, rows)
    comparison = compare([str(folder / "a"), str(folder / "b")], QUICK)
    assert comparison.systems[0].figures[0].value in (0.0, None)
    assert comparison.agreements[0].figures["wer"] == comparison.systems[1].figures[0].value
