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


def told(*arguments):
    run = run_command(*arguments, "--json")
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def word_error_rate(output):
    rows = annotations(output)
    references, hypotheses = ([ENGLISH.text(row["reference"]) for row in rows], [heard(row) for row in rows])
    return float(jiwer.wer(references, hypotheses))


def heard(row):
    return ENGLISH.text(row["transcribe"]["text"])


def test_both_runtimes_of_one_whisper_write_the_same(outputs):
    assert transcripts(outputs["A"]) == transcripts(outputs["B"])
    assert len(transcripts(outputs["C"])) == 24


@pytest.mark.parametrize("letter", ["B", "C"])
def test_evaluate_finds_the_word_errors_that_jiwer_finds(outputs, letter):
    found = told("evaluate", outputs[letter], "--language", "en", "--by", "snr")
    (task,) = found["tasks"]
    figures = {figure["name"]: figure for figure in task["figures"]}
    assert figures["wer"]["value"] == pytest.approx(word_error_rate(outputs[letter]))
    assert figures["wer"]["low"] <= figures["wer"]["value"] <= figures["wer"]["high"]
    if letter == "B":
        assert figures["wer"]["value"] <= 0.06
    groups = [group for group in task["groups"] if group["column"] == "snr"]
    assert groups and sum(group["rows"] for group in groups) == 24


def test_compare_tells_what_is_the_same_from_what_is_not(outputs, tmp_path):
    kept = tmp_path / "kept.jsonl"
    keep = ("--keep", "wer(A, B) < 0.1 AND wer(A, C) > 0.5", "--to", kept)
    found = told("compare", *outputs.values(), "--language", "en", *keep)
    for system in found["systems"]:
        figures = {figure["name"]: figure["value"] for figure in system["figures"]}
        assert figures["wer"] == pytest.approx(word_error_rate(outputs[system["letter"]]))
    differences = {(one["first"], one["second"]): one for one in found["differences"] if one["name"] == "wer"}
    same, other = differences["A", "B"], differences["A", "C"]
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)
    assert other["low"] > 0.5
    agreements = {(one["first"], one["second"]): one["differing"] for one in found["agreements"]}
    assert agreements == {("A", "B"): 0, ("A", "C"): 24, ("B", "C"): 24}
    assert found["kept"]["rows"] == len(kept.read_text().splitlines()) == 24
    assert {json.loads(line)["text"] for line in kept.open()} == set(transcripts(outputs["A"]).values())
