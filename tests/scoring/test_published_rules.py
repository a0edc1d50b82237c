"""Figures against jiwer, sacrebleu and scikit-learn, with the published rules implemented again here."""

import re
import unicodedata

import jiwer
import pytest
import sacrebleu
import zhconv
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from earmark.scoring.evaluate import evaluate
from earmark.scoring.options import EvaluateOptions
from tests.support.awkward_pairs import EACH, awkward_pairs
from tests.support.outputs.builder import Row, write_output

PAIRS = awkward_pairs()
FIGURES_ONLY = EvaluateOptions(bootstrap=0)


def published_tokens(text, language):
    """eval_audio/evaluate_asr.py of Qwen2-Audio: remove_sp and compute_wer. Digits in Chinese stay what they are."""
    text = re.sub(r"<\|.*?\|>", " ", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(" ?([!,.?;:])", r"\1", text).lstrip(" ")
    if language == "yue":
        text = zhconv.convert(text, "zh-cn")
    if language == "en":
        text = EnglishTextNormalizer()(text)
    if language == "zh":  # speechio's TextNorm puts a space for each punctuation mark
        text = "".join(" " if unicodedata.category(char)[0] in "PS" else char for char in text)
    else:
        text = BasicTextNormalizer()(text)
    words = [word for word in text.split() if not all(unicodedata.category(char)[0] == "P" for char in word)]
    words = [word.lower() for word in words]
    return list("".join(words)) if language in ("zh", "yue") else words


def rate(pairs):
    references = [" ".join(published_tokens(pair.reference, pair.language)) for pair in pairs]
    hypotheses = [" ".join(published_tokens(pair.hypothesis, pair.language)) for pair in pairs]
    return jiwer.wer(references, hypotheses)


def transcripts_of(pairs):
    return [Row(pair.id, {"transcribe": pair.hypothesis}, pair.reference, pair.language) for pair in pairs]


def test_there_are_two_hundred_pairs_of_every_kind():
    assert len(PAIRS) == len({pair.id for pair in PAIRS}) == 200
    assert sum(not pair.hypothesis for pair in PAIRS) > 10
    assert sum(not pair.reference for pair in PAIRS) > 10
    assert sum(pair.hypothesis == pair.reference for pair in PAIRS) < 100


@pytest.mark.parametrize("language", EACH)
def test_word_errors_of_a_language_follow_the_published_rule(tmp_path, language):
    pairs = [pair for pair in PAIRS if pair.language == language]
    write_output(tmp_path / "out", transcripts_of(pairs))
    scores = evaluate(str(tmp_path / "out"), FIGURES_ONLY).task("transcribe")
    assert scores.rows == len(pairs)
    assert scores.figure("wer").value == pytest.approx(rate(pairs), abs=1e-12)


def test_each_language_is_counted_by_its_own_rule(tmp_path):
    write_output(tmp_path / "out", transcripts_of(PAIRS), rows_a_part=7)
    options = EvaluateOptions(bootstrap=0, by=("language",))
    scores = evaluate(str(tmp_path / "out"), options).task("transcribe")
    assert scores.figure("wer").value == pytest.approx(rate(PAIRS), abs=1e-12)
    assert scores.normalizers == {"whisper-english": 80, "chinese": 40, "cantonese": 40, "basic": 40}
    for group in scores.groups:
        of_language = [pair for pair in PAIRS if pair.language == group.value]
        assert (group.rows, group.figures["wer"]) == (len(of_language), pytest.approx(rate(of_language), abs=1e-12))


def test_character_errors_equal_those_of_jiwer(tmp_path):
    pairs = [pair for pair in PAIRS if pair.language in ("en", "fr")]
    write_output(tmp_path / "out", transcripts_of(pairs))
    scores = evaluate(str(tmp_path / "out"), FIGURES_ONLY).task("transcribe")
    texts = [
        [" ".join(published_tokens(text, pair.language)) for text in (pair.reference, pair.hypothesis)]
        for pair in pairs
    ]
    direct = jiwer.process_characters(*map(list, zip(*texts, strict=True)))
    assert scores.figure("cer").value == pytest.approx(direct.cer, abs=1e-12)
    counted = scores.characters
    assert counted is not None
    expected = (direct.hits, direct.substitutions, direct.deletions, direct.insertions)
    assert (counted.hits, counted.substitutions, counted.deletions, counted.insertions) == expected


@pytest.mark.parametrize(("target", "tokenizer"), [("en", "13a"), ("de", "13a"), ("zh", "zh")])
def test_bleu_and_chrf_equal_those_of_sacrebleu_with_the_published_tokenizer(tmp_path, target, tokenizer):
    rows = [Row(pair.id, {"translate": pair.hypothesis}, pair.reference) for pair in PAIRS]
    write_output(tmp_path / "out", rows, task=("translate",), translate_to=target)
    scores = evaluate(str(tmp_path / "out"), FIGURES_ONLY).task("translate")
    hypotheses, references = [pair.hypothesis for pair in PAIRS], [[pair.reference for pair in PAIRS]]
    bleu = sacrebleu.corpus_bleu(hypotheses, references, tokenize=tokenizer)
    assert scores.figure("bleu").value == pytest.approx(bleu.score, abs=1e-9)
    assert scores.figure("chrf").value == pytest.approx(sacrebleu.corpus_chrf(hypotheses, references).score, abs=1e-9)
    assert scores.signatures is not None
    assert f"tok:{tokenizer}|" in scores.signatures["bleu"]
    assert scores.signatures["bleu"].endswith(f"version:{sacrebleu.__version__}")


def test_accuracy_and_f1_equal_those_of_scikit_learn(tmp_path):
    labels = ["neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust"]
    references = [labels[len(pair.reference) % 5] for pair in PAIRS]
    hypotheses = [labels[len(pair.hypothesis) % 7] for pair in PAIRS]
    rows = [
        Row(pair.id, {"emotion": hypothesis}, f" {reference} ")
        for pair, reference, hypothesis in zip(PAIRS, references, hypotheses, strict=True)
    ]
    write_output(tmp_path / "out", rows, task=("emotion",))
    scores = evaluate(str(tmp_path / "out"), FIGURES_ONLY).task("emotion")
    labels_of_references = sorted(set(references))
    assert len(labels_of_references) == 5 < len(set(hypotheses))
    assert scores.figure("accuracy").value == pytest.approx(accuracy_score(references, hypotheses))
    for name in ("macro", "weighted"):
        direct = f1_score(references, hypotheses, labels=labels_of_references, average=name)
        assert scores.figure(f"{name}_f1").value == pytest.approx(direct)
    confusion = scores.confusion
    assert confusion is not None
    assert confusion.references == tuple(labels_of_references)
    table = confusion_matrix(references, hypotheses, labels=list(confusion.hypotheses))
    rows_of_references = [list(confusion.hypotheses).index(label) for label in labels_of_references]
    assert confusion.counts == tuple(map(tuple, table[rows_of_references].tolist()))


def test_freely_written_labels_are_matched_letter_for_letter_but_for_space_before(tmp_path):
    rows = [
        Row("a", {"vocal_sound": " Cough"}, "Cough"),
        Row("b", {"vocal_sound": "cough"}, "Cough"),
        Row("c", {"vocal_sound": "Sneeze"}, "Sneeze"),
    ]
    write_output(tmp_path / "out", rows, task=("vocal_sound",), free_labels=True)
    scores = evaluate(str(tmp_path / "out"), FIGURES_ONLY).task("vocal_sound")
    assert (scores.kind, scores.figure("accuracy").value) == ("label", pytest.approx(2 / 3))
