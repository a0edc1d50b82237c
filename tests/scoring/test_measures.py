"""Measures on their own: normalizers, counts of rows, intervals, alignments."""

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from earmark.schemas.errors import JobError
from earmark.scoring.alignment import aligned
from earmark.scoring.intervals import intervals
from earmark.scoring.labels import LabelMatches
from earmark.scoring.normalizers import NORMALIZERS, find_normalizer, normalizer_for
from earmark.scoring.pairs import Pair
from earmark.scoring.text_overlap import TextOverlap
from earmark.scoring.word_errors import WordErrors, edits_of

TOKENS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=9)
LABELS = st.sampled_from(["joy", "anger", "fear"])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("whisper-english", "<|en|> Mr. Grey's colour, twenty-one!", ["mister", "gray", "is", "color", "21"]),
        ("basic", "<|fr|>Ça  va, [rires] l'été ?", ["ça", "va", "l", "été"]),
        ("chinese", "<|zh|>我用 iPhone,好!", ["我", "用", "i", "p", "h", "o", "n", "e", "好"]),
        ("cantonese", "佢話:記得。", ["佢", "话", "记", "得"]),
        (
            "lower-no-punctuation",
            "“Don\N{RIGHT SINGLE QUOTATION MARK}t 'quote' me,” (he) said.",
            ["don't", "quote", "me", "he", "said"],
        ),
        ("none", "<|de|> As  it IS.", ["As", "it", "IS."]),
    ],
)
def test_a_normalizer_makes_these_words(name, text, words):
    assert find_normalizer(name).words(text) == words


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en", "whisper-english"),
        ("EN-gb", "whisper-english"),
        ("zh-CN", "chinese"),
        ("cmn_hans", "chinese"),
        ("yue", "cantonese"),
        ("fr", "basic"),
        ("", "basic"),
    ],
)
def test_a_language_has_its_published_normalizer(language, name):
    assert normalizer_for(language).name == name


def test_an_unknown_normalizer_is_refused():
    with pytest.raises(JobError, match="--normalizer=whisper does not work: choose from whisper-english, basic"):
        find_normalizer("whisper")


@given(st.sampled_from(sorted(NORMALIZERS)), st.text())
def test_words_contain_no_spaces_and_make_up_the_text(name, text):
    by = find_normalizer(name)
    words = by.words(text)
    assert all(word and not any(char.isspace() for char in word) for word in words)
    assert by.text(text) == ("" if by.by_characters else " ").join(words)


@given(st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=6))
def test_edits_of_rows_add_up_to_jiwer_s_of_the_corpus(pairs):
    references, hypotheses = [reference for reference, _ in pairs], [hypothesis for _, hypothesis in pairs]
    edits_of_rows = edits_of(references, hypotheses)
    direct = jiwer.process_words(
        [" ".join(tokens) for tokens in references], [" ".join(tokens) for tokens in hypotheses]
    )
    for name in ("hits", "substitutions", "deletions", "insertions"):
        assert sum(getattr(edits, name) for edits in edits_of_rows) == getattr(direct, name)
    for edits, reference, hypothesis in zip(edits_of_rows, references, hypotheses, strict=True):
        assert edits.reference_length == len(reference)
        assert edits.hits + edits.substitutions + edits.insertions == len(hypothesis)


@given(st.lists(st.tuples(LABELS, LABELS, st.integers(0, 3)), min_size=1, max_size=12))
def test_weights_equal_repeated_rows(rows):
    """Scoring with weights equals scoring repeated rows, for every measure."""
    pairs = [Pair(str(n), reference, hypothesis) for n, (reference, hypothesis, _) in enumerate(rows)]
    weights = np.array([float(times) for *_, times in rows])
    repeated = [pair for pair, (*_, times) in zip(pairs, rows, strict=True) for _ in range(times)]
    for make in (WordErrors, LabelMatches, lambda: TextOverlap("en")):
        measure, unweighted = make(), make()
        measure.add(pairs)
        unweighted.add(repeated)
        figures, expected = measure.figures(weights), unweighted.figures(np.ones(len(repeated)))
        assert figures == pytest.approx(dict(expected), nan_ok=True)


@given(st.lists(st.tuples(LABELS, st.sampled_from(["joy", "anger", "fear", "other"])), min_size=1, max_size=20))
def test_f1_is_scikit_learn_s_over_the_labels_of_the_references(rows):
    measure = LabelMatches()
    measure.add([Pair(str(n), reference, hypothesis) for n, (reference, hypothesis) in enumerate(rows)])
    figures = measure.figures(np.ones(len(rows)))
    references, hypotheses = [reference for reference, _ in rows], [hypothesis for _, hypothesis in rows]
    for name in ("macro", "weighted"):
        direct = f1_score(references, hypotheses, labels=sorted(set(references)), average=name, zero_division=0.0)
        assert figures[f"{name}_f1"] == pytest.approx(direct)


def test_equal_texts_have_no_errors_even_when_both_are_empty():
    texts = ["", " ", "a dog", "一", "..."]
    assert TextOverlap("en").add([Pair(text, text, text) for text in texts]) == [0.0] * len(texts)
    assert TextOverlap("en").add([Pair("a", "a dog", "")]) == [100.0]


def test_a_single_label_has_neither_kappa_nor_a_warning(recwarn):
    measure = LabelMatches()
    measure.add([Pair(str(n), "joy", "joy") for n in range(3)])
    assert np.isnan(measure.kappa()) and not recwarn.list


def test_a_score_on_a_bound_belongs_to_the_bin_below_it_as_published():
    measure = LabelMatches()
    scores = (1.0, 0.2, 0.0, None)
    measure.add([Pair(str(n), "a", "a", score=score) for n, score in enumerate(scores)])
    calibration = measure.calibration()
    assert calibration is not None
    assert (calibration.rows, [(round(one.high, 3), one.rows) for one in calibration.bins]) == (
        3,
        [(0.067, 1), (0.2, 1), (1.0, 1)],
    )
    assert calibration.ece == pytest.approx((0.0 + 0.8 + 1.0) / 3)


def test_an_interval_equals_that_of_resampled_rows():
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)

    def mean(weights):
        return {"mean": float(weights @ values / weights.sum())}

    low, high = intervals(mean, 400, 2000, seed=1)["mean"]
    draws = np.random.default_rng(2).choice(values, (2000, 400)).mean(axis=1)
    assert (low, high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.03)
    assert intervals(mean, 400, 2000, seed=1)["mean"] == (low, high)


def test_figures_share_their_draws_for_any_batch_size(monkeypatch):
    values = np.arange(50.0)

    def two(weights):
        mean = float(weights @ values / weights.sum())
        return {"one": mean, "twice": 2 * mean}

    at_once = intervals(two, 50, 100, seed=7)
    assert at_once["twice"] == pytest.approx([2 * bound for bound in at_once["one"]])
    monkeypatch.setattr("earmark.scoring.intervals.DRAWN_AT_ONCE", 1)
    assert set(intervals(two, 50, 100, seed=7)) == {"one", "twice"}


@pytest.mark.parametrize(("rows", "resamples"), [(0, 100), (1, 100), (50, 0)])
def test_fewer_than_two_rows_have_no_interval(rows, resamples):
    assert intervals(lambda weights: {"sum": float(weights.sum())}, rows, resamples, seed=0) == {}


def test_a_figure_without_a_value_has_no_interval():
    bounds = intervals(lambda weights: {"none": float("nan"), "sum": float(weights.sum())}, 5, 20, seed=0)
    assert bounds == {"sum": (5.0, 5.0)}


@given(TOKENS, TOKENS, st.integers(5, 40))
def test_an_alignment_shows_every_word_once_and_no_line_is_too_wide(reference, hypothesis, width):
    lines = aligned(reference, hypothesis, width)
    above = " ".join(one for one, _ in lines).split()
    below = " ".join(other for _, other in lines).split()
    assert [word.lower() for word in above if "·" not in word] == reference
    assert [word.lower() for word in below if "·" not in word] == hypothesis
    assert len(above) == len(below)
    assert all(one == other or one.isupper() or other.isupper() for one, other in zip(above, below, strict=True))
    assert all(len(one) <= width and len(other) <= width for one, other in lines)


def test_wide_characters_are_aligned_by_the_columns_they_take():
    assert aligned(["我", "们", "ok"], ["我", "a", "ok"]) == [("我 们 ok", "我 A  ok")]
