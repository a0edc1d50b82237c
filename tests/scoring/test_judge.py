"""AIR-Bench's judge: its prompt, the parsing of verdicts, and that each is requested once."""

import threading

import pytest

from earmark.schemas.errors import RowError
from earmark.scoring.judge import Case, Judged, Verdict, judge_all, stored_verdicts
from earmark.scoring.judge_scores import judge_scores
from earmark.transforms.output.store import OutputStore

CASE = Case("a", "A dog barks {twice}.", "What is heard?", "A dog.", "Two cats.")


class Counting:
    """Answers by a rule, and records its prompts."""

    def __init__(self, rule):
        self.rule = rule
        self.prompts: list[str] = []
        self._lock = threading.Lock()

    def ask(self, prompt):
        with self._lock:
            self.prompts.append(prompt)
        return self.rule(prompt)


def cases(count):
    return [
        Case(f"c{number}", "description", f"question {number}", "reference", f"answer {number}")
        for number in range(count)
    ]


def first_is_better(prompt):
    return "9 3"


def test_the_prompt_is_the_published_one():
    assert CASE.prompt(False) == (
        "You are a helpful and precise assistant for checking the quality of the answer.\n"
        "[Detailed Audio Description]\nA dog barks {twice}.\n[Question]\nWhat is heard?\n"
        "[The Start of Assistant 1s Answer]\nA dog.\n[The End of Assistant 1s Answer]\n"
        "[The Start of Assistant 2s Answer]\nTwo cats.\n[The End of Assistant 2s Answer]\n[System]\n"
        "We would like to request your feedback on the performance of two AI assistants in response to the user"
        " question and audio description displayed above. AI assistants are provided with detailed audio descriptions"
        " and questions.\nPlease rate the helpfulness, relevance, accuracy, and comprehensiveness of their responses."
        " Each assistant receives an overall score on a scale of 1 to 10, where a higher score indicates better"
        " overall performance. Please output a single line containing only two values indicating the scores for"
        " Assistant 1 and 2, respectively. The two scores are separated by a space."
    )
    swapped = CASE.prompt(True)
    assert swapped.index("1s Answer]\nTwo cats.") < swapped.index("2s Answer]\nA dog.")


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("8 5", (8.0, 5.0)),
        ("  8 5\n", (8.0, 5.0)),
        ("8\n5", (8.0, 5.0)),
        ("8, 5", (8.0, 5.0)),
        ("10 0", (10.0, 0.0)),
        ("7.5 6.5", (7.5, 6.5)),
        ("8", None),
        ("8 5 7", None),
        ("11 5", None),
        ("-1 5", None),
        ("Assistant 1: 8, Assistant 2: 5", None),
        ("8/10 5/10", None),
        ("85", None),
        ("", None),
    ],
)
def test_a_verdict_is_two_scores_or_none(text, scores):
    assert Verdict("a", False, "j", "k", text).scores == scores
    assert Verdict("a", True, "j", "k", text).scores == (scores and scores[::-1])


def test_both_orders_are_judged_and_averaged(tmp_path):
    judge = Counting(first_is_better)
    (judged,) = judge_all([CASE], judge, "j", OutputStore(str(tmp_path)))
    assert sorted(judge.prompts) == sorted([CASE.prompt(False), CASE.prompt(True)])
    assert judged == Judged("a", 6.0, 6.0, 0), "what prefers the first prefers nobody"


def test_equal_answers_are_still_judged_in_both_orders(tmp_path):
    judge = Counting(first_is_better)
    (judged,) = judge_all([Case("a", "h", "q", "same", "same")], judge, "j", OutputStore(str(tmp_path)))
    assert (len(judge.prompts), judged.answer) == (2, 6.0)


def test_a_verdict_without_two_scores_is_counted_and_the_other_order_used(tmp_path):
    def rule(prompt):
        first = prompt.partition("[The End of Assistant 1s")[0]
        if "question 1" in prompt:
            return "I cannot judge that."
        return "8 4" if "reference" in first else "none"

    results = judge_all(cases(2), Counting(rule), "j", OutputStore(str(tmp_path)))
    assert results == [Judged("c0", 8.0, 4.0, 1), Judged("c1", None, None, 2)]


def test_no_verdict_is_requested_twice_and_judges_are_separate(tmp_path):
    store = OutputStore(str(tmp_path))
    first = judge_all(cases(5), Counting(first_is_better), "j", store)
    second_judge = Counting(first_is_better)
    assert judge_all(cases(5), second_judge, "j", store) == first
    assert second_judge.prompts == []
    judge_all(cases(6), second_judge, "j", store)
    assert len(second_judge.prompts) == 2, "only the new case"
    other = Counting(lambda prompt: "1 2")
    assert {judged.answer for judged in judge_all(cases(5), other, "other", store)} == {1.5}
    assert len(other.prompts) == 10


def test_another_answer_to_the_same_question_is_judged_again(tmp_path):
    store = OutputStore(str(tmp_path))
    judge = Counting(first_is_better)
    judge_all([CASE], judge, "j", store)
    judge_all([Case(CASE.id, CASE.description, CASE.question, CASE.reference, "One dog.")], judge, "j", store)
    assert len(judge.prompts) == 4


def test_verdicts_before_a_failure_of_the_judge_are_stored(tmp_path):
    store = OutputStore(str(tmp_path))

    def rule(prompt):
        if "question 6" in prompt:
            raise ConnectionError("gone")
        return "5 5"

    with pytest.raises(ConnectionError, match="gone"):
        judge_all(cases(10), Counting(rule), "j", store)
    stored = len(stored_verdicts(store))
    assert stored == 14, "all of the first eight questions, and six of the eight that two failed of"
    judge = Counting(lambda prompt: "5 5")
    judge_all(cases(10), judge, "j", store)
    assert len(judge.prompts) == 20 - stored


def test_a_case_that_the_judge_refuses_is_counted_and_retried_next_time(tmp_path):
    def rule(prompt):
        if "question 1" in prompt:
            raise RowError("refused", "content filter")
        return "5 5"

    store = OutputStore(str(tmp_path))
    assert judge_all(cases(2), Counting(rule), "j", store)[1] == Judged("c1", None, None, 2)
    judge = Counting(lambda prompt: "5 5")
    assert judge_all(cases(2), judge, "j", store)[1] == Judged("c1", 5.0, 5.0, 0)
    assert len(judge.prompts) == 2


def test_the_score_is_the_mean_with_failures_at_the_lowest_and_the_unjudged_counted():
    judged = [Judged("a", 8.0, 4.0, 0), Judged("b", 9.0, 6.0, 1), Judged("c", None, None, 2)]
    scores = judge_scores("j", judged, failed=1, resamples=200, seed=1)
    assert scores.score.value == pytest.approx((4 + 6 + 1) / 3)
    assert scores.score.without_failures == 5.0
    assert (scores.reference, scores.judged, scores.unjudged, scores.malformed) == (8.5, 2, 1, 3)
    assert scores.score.low is not None and scores.score.high is not None
    assert 1 <= scores.score.low < scores.score.value < scores.score.high <= 6
    nothing = judge_scores("j", [Judged("c", None, None, 2)], failed=0, resamples=200, seed=1)
    assert (nothing.score.value, nothing.reference, nothing.unjudged) == (None, None, 1)
