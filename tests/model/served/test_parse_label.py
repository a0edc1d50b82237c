import math

import pytest

from earmark.model.served.parse_label import UNLIKELY_LOGPROB, alike, label_logprobs, said_label
from earmark.model.served.replies import Candidate, Token
from earmark.schemas.tasks import MELD_EMOTIONS, VOCAL_SOUNDS


def place(*shares):
    """What could have been written at one place; the first was."""
    candidates = tuple(Candidate(text if isinstance(text, bytes) else text.encode(), math.log(p)) for text, p in shares)
    return Token(candidates[0], candidates)


def shares(tokens, label, labels):
    found = label_logprobs(tokens, label, labels)
    return None if found is None else [pytest.approx(math.exp(one), abs=1e-9) for one in found]


@pytest.mark.parametrize("text", ["throat clearing", "Throat-Clearing.", " **Throat clearing**\n", "THROATCLEARING"])
def test_case_spaces_and_punctuation_of_an_answer_do_not_count(text):
    assert said_label(text, VOCAL_SOUNDS) == "Throat clearing"


@pytest.mark.parametrize("text", ["", "?", "clearing", "a cough", "Coughing", "Cough, Sigh", "throat"])
def test_an_answer_with_other_words_is_none_of_the_labels(text):
    assert said_label(text, VOCAL_SOUNDS) is None


def test_labels_that_an_answer_could_not_tell_apart_are_found():
    assert alike(MELD_EMOTIONS) is None and alike(VOCAL_SOUNDS) is None and alike(()) is None
    assert alike(("C", "java", "C++")) == ("C", "C++")
    assert alike(("+", "one")) == ("", "+")


def test_labels_that_differ_in_their_first_token_have_its_probabilities():
    tokens = [place(("joy", 0.6), ("fear", 0.25), ("Joy", 0.1), ("the", 0.05)), place((".", 0.9), ("!", 0.1))]
    assert shares(tokens, "joy", ("fear", "joy", "anger")) == [0.25, 0.7, 0.0]
    assert label_logprobs(tokens, "joy", ("fear", "joy", "anger"))[2] == UNLIKELY_LOGPROB


def test_a_label_of_several_tokens_is_read_to_where_it_can_be_no_other():
    tokens = [
        place(("S", 0.8), ("L", 0.15), ("C", 0.05)),
        place(("ne", 0.5), ("igh", 0.3), ("ni", 0.2)),
        place(("eze", 0.1), ("x", 0.9)),
    ]
    found = shares(tokens, "Sneeze", VOCAL_SOUNDS)
    assert found == [0.15, 0.8 * 0.3, 0.05, 0.0, 0.8 * 0.5, 0.8 * 0.2], "what follows `Sne` tells of no other label"


def test_what_several_labels_may_begin_with_is_shared_between_them():
    tokens = [place(("Laugh", 0.7), ("S", 0.3)), place(("ter", 1.0))]
    assert shares(tokens, "Laughter", VOCAL_SOUNDS) == [0.7, 0.1, 0.0, 0.0, 0.1, 0.1]


def test_punctuation_around_a_label_is_passed_over():
    tokens = [place(("**", 0.9), ("joy", 0.1)), place((" joy", 0.5), ("fear", 0.5))]
    assert shares(tokens, "joy", ("joy", "fear")) == [0.1 + 0.9 * 0.5, 0.9 * 0.5]


def test_a_label_that_begins_another_has_what_was_not_gone_on_with():
    tokens = [place(("sad", 0.9), ("joy", 0.1)), place((".", 0.7), ("ness", 0.3))]
    assert shares(tokens, "sad", ("sad", "sadness", "joy")) == [0.9 * 0.7, 0.9 * 0.3, 0.1]


def test_a_character_may_be_cut_between_tokens():
    joy, fear = "高兴".encode(), "高度恐惧".encode()
    tokens = [place((joy[:4], 0.9), (b"x", 0.1)), place((joy[4:], 0.6), (fear[4:6], 0.4))]
    assert shares(tokens, "高兴", ("高兴", "高度恐惧")) == [0.9 * 0.6, 0.9 * 0.4]


def test_without_others_to_compare_with_nothing_is_known():
    alone = Token(Candidate(b"joy", -0.1), ())
    assert label_logprobs([], "joy", ("joy", "fear")) is None
    assert label_logprobs([alone], "joy", ("joy", "fear")) is None
    assert label_logprobs([Token(alone.written, (alone.written,))], "joy", ("joy", "fear")) is None


def test_tokens_of_another_text_than_the_answer_tell_nothing():
    thought = [place(("well", 0.9), ("fear", 0.1)), place((" joy", 0.9), ("x", 0.1))]
    assert label_logprobs(thought, "joy", ("joy", "fear")) is None
