"""Labels in the text of a reply, and their probabilities from its tokens."""

import math

import pytest

from earmark.model.served.parse_label import UNLIKELY_LOGPROB, find_indistinguishable, label_logprobs, match_label
from earmark.model.served.replies import Candidate, Token
from earmark.schemas.tasks import MELD_EMOTIONS, VOCAL_SOUNDS


def token(*shares):
    """A token that is the first of these, with the others as alternatives."""
    candidates = tuple(Candidate(text if isinstance(text, bytes) else text.encode(), math.log(p)) for text, p in shares)
    return Token(candidates[0], candidates)


def shares(tokens, label, labels):
    logprobs = label_logprobs(tokens, label, labels)
    return None if logprobs is None else [pytest.approx(math.exp(logprob), abs=1e-9) for logprob in logprobs]


@pytest.mark.parametrize("text", ["throat clearing", "Throat-Clearing.", " **Throat clearing**\n", "THROATCLEARING"])
def test_case_spaces_and_punctuation_of_an_answer_do_not_count(text):
    assert match_label(text, VOCAL_SOUNDS) == "Throat clearing"


@pytest.mark.parametrize("text", ["", "?", "clearing", "a cough", "Coughing", "Cough, Sigh", "throat"])
def test_an_answer_with_other_words_is_not_a_label(text):
    assert match_label(text, VOCAL_SOUNDS) is None


def test_indistinguishable_labels_are_found():
    assert (
        find_indistinguishable(MELD_EMOTIONS) is None
        and find_indistinguishable(VOCAL_SOUNDS) is None
        and find_indistinguishable(()) is None
    )
    assert find_indistinguishable(("C", "java", "C++")) == ("C", "C++")
    assert find_indistinguishable(("+", "one")) == ("", "+")


def test_labels_that_differ_in_their_first_token_have_its_probabilities():
    tokens = [token(("joy", 0.6), ("fear", 0.25), ("Joy", 0.1), ("the", 0.05)), token((".", 0.9), ("!", 0.1))]
    assert shares(tokens, "joy", ("fear", "joy", "anger")) == [0.25, 0.7, 0.0]
    assert label_logprobs(tokens, "joy", ("fear", "joy", "anger"))[2] == UNLIKELY_LOGPROB


def test_a_label_is_read_up_to_the_token_that_decides_it():
    tokens = [
        token(("S", 0.8), ("L", 0.15), ("C", 0.05)),
        token(("ne", 0.5), ("igh", 0.3), ("ni", 0.2)),
        token(("eze", 0.1), ("x", 0.9)),
    ]
    expected = [0.15, 0.8 * 0.3, 0.05, 0.0, 0.8 * 0.5, 0.8 * 0.2]
    assert shares(tokens, "Sneeze", VOCAL_SOUNDS) == expected, "no other label begins with `Sne`"


def test_a_beginning_of_several_labels_is_shared_between_them():
    tokens = [token(("Laugh", 0.7), ("S", 0.3)), token(("ter", 1.0))]
    assert shares(tokens, "Laughter", VOCAL_SOUNDS) == [0.7, 0.1, 0.0, 0.0, 0.1, 0.1]


def test_punctuation_around_a_label_is_ignored():
    tokens = [token(("**", 0.9), ("joy", 0.1)), token((" joy", 0.5), ("fear", 0.5))]
    assert shares(tokens, "joy", ("joy", "fear")) == [0.1 + 0.9 * 0.5, 0.9 * 0.5]


def test_a_label_that_begins_another_has_the_probability_of_not_continuing():
    tokens = [token(("sad", 0.9), ("joy", 0.1)), token((".", 0.7), ("ness", 0.3))]
    assert shares(tokens, "sad", ("sad", "sadness", "joy")) == [0.9 * 0.7, 0.9 * 0.3, 0.1]


def test_a_character_may_be_cut_between_tokens():
    joy, fear = "高兴".encode(), "高度恐惧".encode()
    tokens = [token((joy[:4], 0.9), (b"x", 0.1)), token((joy[4:], 0.6), (fear[4:6], 0.4))]
    assert shares(tokens, "高兴", ("高兴", "高度恐惧")) == [0.9 * 0.6, 0.9 * 0.4]


def test_without_alternatives_there_are_no_probabilities():
    alone = Token(Candidate(b"joy", -0.1), ())
    assert label_logprobs([], "joy", ("joy", "fear")) is None
    assert label_logprobs([alone], "joy", ("joy", "fear")) is None
    assert label_logprobs([Token(alone.chosen, (alone.chosen,))], "joy", ("joy", "fear")) is None


def test_tokens_of_another_text_than_the_answer_give_no_probabilities():
    thought = [token(("well", 0.9), ("fear", 0.1)), token((" joy", 0.9), ("x", 0.1))]
    assert label_logprobs(thought, "joy", ("joy", "fear")) is None
