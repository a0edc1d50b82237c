"""Three systems on real speech, as a user runs and scores them: one Whisper in two runtimes, and one that guesses."""

import json

import jiwer
import pytest

from earmark.scoring.normalizers import find_normalizer
from tests.support.checkpoints.small_encoders import write_ctc
from tests.support.checkpoints.whisper_conversion import write_whisper_tiny_en
from tests.support.jobs import PHONE_PROMPTS, annotations, run_command, transcripts

pytestmark = pytest.mark.slow
ENGLISH = find_normalizer("whisper-english")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A: Whisper through CTranslate2. B: the same weights through transformers. C: a CTC model of random weights."""
    folder = tmp_path_factory.mktemp("systems")
    models = {
        "A": ("whisper-tiny.en", "--beam_size=1"),
        "B": (str(write_whisper_tiny_en(folder / "whisper")), "--beam_size=1"),
        "C": (str(write_ctc(folder / "ctc")),),
    }
    for letter, (model, *options) in models.items():
        run = run_command("annotate", PHONE_PROMPTS, folder / letter, "--model", model, *options)
        assert run.returncode == 0, run.stderr
    return {letter: folder / letter for letter in models}


def json_of(*arguments):
    run = run_command(*arguments, "--json")
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def word_error_rate(output):
    rows = annotations(output)
    references, hypotheses = ([ENGLISH.text(row["reference"]) for row in rows], [normalized_text(row) for row in rows])
    return float(jiwer.wer(references, hypotheses))


def normalized_text(row):
    return ENGLISH.text(row["transcribe"]["text"])


def test_both_runtimes_of_one_whisper_write_the_same(outputs):
    assert transcripts(outputs["A"]) == transcripts(outputs["B"])
    assert len(transcripts(outputs["C"])) == 24


@pytest.mark.parametrize("letter", ["B", "C"])
def test_word_error_rates_of_evaluate_equal_those_of_jiwer(outputs, letter):
    scores = json_of("evaluate", outputs[letter], "--language", "en", "--by", "snr")
    (task,) = scores["tasks"]
    figures = {figure["name"]: figure for figure in task["figures"]}
    assert figures["wer"]["value"] == pytest.approx(word_error_rate(outputs[letter]))
    assert figures["wer"]["low"] <= figures["wer"]["value"] <= figures["wer"]["high"]
    if letter == "B":
        assert figures["wer"]["value"] <= 0.06
    groups = [group for group in task["groups"] if group["column"] == "snr"]
    assert groups and sum(group["rows"] for group in groups) == 24


def test_compare_separates_equal_systems_from_different_ones(outputs, tmp_path):
    kept_manifest = tmp_path / "kept.jsonl"
    keep = ("--keep", "wer(A, B) < 0.1 AND wer(A, C) > 0.5", "--to", kept_manifest)
    comparison = json_of("compare", *outputs.values(), "--language", "en", *keep)
    for system in comparison["systems"]:
        figures = {figure["name"]: figure["value"] for figure in system["figures"]}
        assert figures["wer"] == pytest.approx(word_error_rate(outputs[system["letter"]]))
    differences = {(row["first"], row["second"]): row for row in comparison["differences"] if row["name"] == "wer"}
    same, different = differences["A", "B"], differences["A", "C"]
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)
    assert different["low"] > 0.5
    agreements = {(row["first"], row["second"]): row["differing"] for row in comparison["agreements"]}
    assert agreements == {("A", "B"): 0, ("A", "C"): 24, ("B", "C"): 24}
    assert comparison["kept"]["rows"] == len(kept_manifest.read_text().splitlines()) == 24
    assert {json.loads(line)["text"] for line in kept_manifest.open()} == set(transcripts(outputs["A"]).values())
