"""Joining the answers about segments into the answer about a recording."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.answers.label import ChosenPart, LabelAnswer, LabelPart, LabelScore, join_choices, join_labels
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.answers.text import TextAnswer, join_text
from earmark.schemas.answers.transcript import Transcript, join_transcript

LABELS = ("joy", "fear", "anger")
NOTHING = SpokenPart((), 0.0, 0, frozenset({"no_speech"}))


def segment(text, start_s=0.0):
    return TextSegment(start_s, start_s + 1, text, -0.5)


def part(*texts, logprob_sum=-1.0, tokens=2, flags=()):
    return SpokenPart(tuple(segment(text) for text in texts), logprob_sum, tokens, frozenset(flags))


def test_parts_are_joined_in_order_with_their_times():
    first = SpokenPart((segment("one", 0), segment("two", 1)), -1.0, 4, frozenset())
    second = SpokenPart((segment("three", 30),), -2.0, 2, frozenset())
    joined = (segment("one", 0), segment("two", 1), segment("three", 30))
    assert join_transcript([first, second], "en") == Transcript("one two three", "en", -0.5, joined)
    assert join_text([first, second], "What?") == TextAnswer("one two three", "What?", -0.5, joined)


def test_characters_do_not_break_the_text_of_their_part():
    first = SpokenPart(tuple(segment(letter) for letter in "it is"), -1.0, 5, frozenset(), text="it is")
    second = SpokenPart((segment("so", 30),), -1.0, 1, frozenset())
    silent = SpokenPart((), 0.0, 0, frozenset(), text="")
    transcript = join_transcript([first, silent, second], "en")
    assert (transcript.text, len(transcript.segments)) == ("it is so", 6)
    assert join_text([first, silent, second], "?").text == "it is so"
    assert join_transcript([first, second], "ja").text == "it isso"


@pytest.mark.parametrize("language", ["zh", "ja", "th", "lo", "my", "yue"])
def test_languages_that_are_written_without_spaces_are_joined_without(language):
    assert join_transcript([part("a", "b"), part("c")], language).text == "abc"


@pytest.mark.parametrize("language", ["en", "ko", "de", None])
def test_other_languages_are_joined_with_spaces(language):
    transcript = join_transcript([part("a", "b"), NOTHING, part("c")], language)
    assert (transcript.text, transcript.language) == ("a b c", language)


def test_the_mean_is_over_tokens_and_not_over_parts():
    parts = [part("a", logprob_sum=-1.0, tokens=1), part("b", logprob_sum=-1.0, tokens=9), NOTHING]
    assert join_transcript(parts, "en").avg_logprob == pytest.approx(-0.2)
    assert join_text(parts, "?").avg_logprob == pytest.approx(-0.2)


def test_flags_of_all_parts_are_listed_once_in_order():
    parts = [part("a", flags=["truncated", "repetition"]), part("b", flags=["too_fast", "repetition"])]
    assert join_transcript(parts, "en").flags == ("repetition", "too_fast", "truncated")
    assert join_text(parts, "?").flags == ("repetition", "too_fast", "truncated")


def test_a_transcript_is_flagged_no_speech_when_no_part_has_text():
    assert join_transcript([NOTHING, part("a")], "en").flags == ()
    assert join_transcript([NOTHING, NOTHING], None) == Transcript("", None, None, (), ("no_speech",))
    assert join_transcript([], "en") == Transcript("", "en", None, (), ("no_speech",))
    assert join_transcript([part(flags=["repetition"])], "en").flags == ("no_speech", "repetition")


def test_an_empty_text_answer_keeps_its_prompt_and_is_flagged():
    empty = join_text([part(flags=["empty"], logprob_sum=-0.25, tokens=1)], "What?")
    assert empty == TextAnswer("", "What?", -0.25, (), ("empty",))


def logs(*likelihoods):
    return tuple(math.log(likelihood) for likelihood in likelihoods)


def scores(answer):
    return {score.label: pytest.approx(score.score) for score in answer.scores}


def test_a_label_s_score_is_its_share_of_the_likelihood_of_all():
    answer = join_labels(LABELS, [LabelPart(3.0, logs(0.1, 0.3, 0.1), (2, 3, 1))])
    assert (answer.label, answer.score) == ("fear", pytest.approx(0.6))
    assert answer.scores == (
        LabelScore("joy", pytest.approx(0.2)),
        LabelScore("fear", pytest.approx(0.6)),
        LabelScore("anger", pytest.approx(0.2)),
    )
    assert answer.avg_logprob == pytest.approx(math.log(0.3) / 3)


def test_parts_count_by_their_weights():
    parts = [LabelPart(1.0, logs(0.08, 0.01, 0.01), (2, 2, 2)), LabelPart(3.0, logs(0.2, 0.6, 0.2), (2, 2, 2))]
    answer = join_labels(LABELS, parts)
    assert scores(answer) == {"fear": (0.1 + 3 * 0.6) / 4, "joy": (0.8 + 3 * 0.2) / 4, "anger": (0.1 + 3 * 0.2) / 4}
    assert answer.avg_logprob == pytest.approx((math.log(0.01) + 3 * math.log(0.6)) / 4 / 2)


def test_a_part_without_weight_does_not_count_beside_others():
    speech = LabelPart(2.0, logs(0.5, 0.25, 0.25), (1, 1, 1))
    silent = LabelPart(0.0, logs(0.01, 0.98, 0.01), (1, 1, 1))
    assert join_labels(LABELS, [speech, silent]) == join_labels(LABELS, [speech])


def test_where_no_part_has_weight_all_count_alike():
    parts = [LabelPart(0.0, logs(0.8, 0.1, 0.1), (1, 1, 1)), LabelPart(0.0, logs(0.2, 0.6, 0.2), (1, 1, 1))]
    assert scores(join_labels(LABELS, parts)) == {"joy": 0.5, "fear": 0.35, "anger": 0.15}


def test_likelihoods_too_small_for_a_float_still_have_shares():
    answer = join_labels(LABELS, [LabelPart(1.0, (-2000.0, -2000.0 + math.log(3), -3000.0), (9, 9, 9))])
    assert scores(answer) == {"fear": 0.75, "joy": 0.25, "anger": 0.0}


@pytest.mark.parametrize("silent_weight", [0.0, 1.0])
def test_a_label_that_the_model_lacks_scores_0(silent_weight):
    parts = [
        LabelPart(1.0, (math.log(0.6), -math.inf, math.log(0.2)), (1, 1, 1)),
        LabelPart(silent_weight, (math.log(0.6), -math.inf, math.log(0.2)), (1, 1, 1)),
    ]
    answer = join_labels(LABELS, parts)
    assert scores(answer) == {"joy": 0.75, "fear": 0.0, "anger": 0.25}
    assert (answer.label, answer.avg_logprob) == ("joy", pytest.approx(math.log(0.6)))


def test_of_labels_that_are_equally_likely_the_first_is_chosen():
    answer = join_labels(LABELS, [LabelPart(1.0, (-1.0, -1.0, -1.0), (1, 1, 1))])
    assert answer.label == LABELS[0]


LOGPROBS = st.tuples(st.floats(-3000, 0), *[st.floats(-3000, 0) | st.just(-math.inf)] * (len(LABELS) - 1))
TOKENS = st.tuples(*[st.integers(1, 9)] * len(LABELS))
WEIGHTS = st.just(0.0) | st.floats(0.1, 480_000)


@given(st.lists(st.builds(LabelPart, WEIGHTS, LOGPROBS, TOKENS), min_size=1, max_size=6))
def test_scores_add_up_to_1_and_stand_in_the_labels_order(parts):
    answer = join_labels(LABELS, parts)
    values = [score.score for score in answer.scores]
    assert sum(values) == pytest.approx(1)
    assert min(values) >= 0
    assert [score.label for score in answer.scores] == list(LABELS)
    assert (answer.label, answer.score) == (LABELS[values.index(max(values))], max(values))
    assert answer.avg_logprob <= 0


@pytest.mark.parametrize(
    ("weights", "label"),
    [((1, 1, 3), "anger"), ((1, 1, 1), "fear"), ((0, 0, 0), "fear"), ((0, 0, 1), "anger"), ((1, 1, 2), "fear")],
)
def test_the_label_of_the_most_speech_is_the_answer_where_no_label_has_scores(weights, label):
    parts = [ChosenPart(weight, label) for weight, label in zip(weights, ("fear", "fear", "anger"), strict=True)]
    assert join_choices(LABELS, parts) == LabelAnswer(label, None, (), None)


def test_a_part_with_scores_counts_as_its_likeliest_label_among_parts_without():
    scored = LabelPart(3.0, (-2.0, -1.0, -0.5), (1, 1, 1))
    assert join_choices(LABELS, [ChosenPart(2.0, "joy"), scored]) == LabelAnswer("anger", None, (), None)
