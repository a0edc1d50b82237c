"""AIR-Bench's judge of chat: a language model reads what is heard, the question, a reference and the answer, and gives
both answers a score (score_chat.py and cal_score.py of OFA-Sys/AIR-Bench)."""

import json
import logging
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Protocol

from earmark.schemas.errors import RowError
from earmark.schemas.records import stable_hash
from earmark.transforms.output.store import OutputStore

log = logging.getLogger("earmark")
FOLDER = "judge"
ASKED_AT_A_TIME = 8
LOWEST, HIGHEST = 0.0, 10.0  # asked for are 1 to 10; published means below 1 show that 0 was given, and counted
TWO_SCORES = re.compile(r"\s*(\d+(?:\.\d+)?)[\s,]+(\d+(?:\.\d+)?)\s*")

# The wording is the published one: the scores hang on it.
PROMPT = (
    "You are a helpful and precise assistant for checking the quality of the answer.\n"
    "[Detailed Audio Description]\n{heard}\n[Question]\n{question}\n"
    "[The Start of Assistant 1s Answer]\n{first}\n[The End of Assistant 1s Answer]\n"
    "[The Start of Assistant 2s Answer]\n{second}\n[The End of Assistant 2s Answer]\n[System]\n"
    "We would like to request your feedback on the performance of two AI assistants in response to the user question "
    "and audio description displayed above. AI assistants are provided with detailed audio descriptions and questions."
    "\nPlease rate the helpfulness, relevance, accuracy, and comprehensiveness of their responses. "
    "Each assistant receives an overall score on a scale of 1 to 10, where a higher score indicates better overall "
    "performance. Please output a single line containing only two values indicating the scores for Assistant 1 and 2, "
    "respectively. The two scores are separated by a space."
)


class Judge(Protocol):
    """A language model that answers a prompt."""

    def ask(self, prompt: str) -> str:
        """Raises RowError where it does not answer this one."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """An answer to be judged.

    Attributes:
        heard: what there is to hear, in words.
        reference: the answer that is held to be right.
    """

    id: str
    heard: str
    question: str
    reference: str
    answer: str

    def prompt(self, swapped: bool) -> str:
        """What the judge is asked; the reference is Assistant 1, or Assistant 2 where swapped."""
        first, second = (self.answer, self.reference) if swapped else (self.reference, self.answer)
        return PROMPT.format(heard=self.heard, question=self.question, first=first, second=second)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of a case, as it is kept.

    Attributes:
        judge: who judged.
        asked: a hash of the judge and of what it was asked.
    """

    id: str
    swapped: bool
    judge: str
    asked: str
    said: str

    @property
    def scores(self) -> tuple[float, float] | None:
        """Of the reference and of the answer; None where the judge did not give two scores."""
        found = TWO_SCORES.fullmatch(self.said)
        if not found:
            return None
        first, second = float(found[1]), float(found[2])
        if max(first, second) > HIGHEST:
            return None
        return (second, first) if self.swapped else (first, second)


@dataclass(frozen=True, slots=True)
class Judged:
    """A case with its scores, each the mean over both orders as far as the judge gave two scores.

    Attributes:
        malformed: how many of the two verdicts hold no two scores; with two of them, the scores are None.
    """

    id: str
    reference: float | None
    answer: float | None
    malformed: int


def judge_all(cases: Sequence[Case], judge: Judge, name: str, store: OutputStore) -> list[Judged]:
    """Each case judged in both orders. Verdicts are kept in the store's folder FOLDER, and nothing is asked twice.

    Args:
        name: of the judge; what another has said does not count.

    Raises:
        what judge.ask raises but for RowError, after what was answered is kept.
    """
    asked = [(case, swapped) for case in cases for swapped in (False, True)]
    keys = [_key(name, *one) for one in asked]
    kept = kept_verdicts(store)
    left = [(key, *one) for key, one in dict(zip(keys, asked, strict=True)).items() if key not in kept]
    for start in range(0, len(left), ASKED_AT_A_TIME):
        kept |= _ask(left[start : start + ASKED_AT_A_TIME], judge, name, store)
    verdicts = [kept[key] for key in keys]
    return [_judged(case, verdicts[2 * index : 2 * index + 2]) for index, case in enumerate(cases)]


def kept_verdicts(store: OutputStore) -> dict[str, Verdict]:
    """What judges have said before, by the hash of what each was asked."""
    paths = [f"{FOLDER}/{file}" for file in store.names(FOLDER) if file.endswith(".jsonl")]
    lines = (line for _, content in store.read_all(paths) for line in content.decode().split("\n") if line)
    return {verdict.asked: verdict for verdict in (Verdict(**json.loads(line)) for line in lines)}


def _ask(some: Sequence[tuple[str, Case, bool]], judge: Judge, name: str, store: OutputStore) -> dict[str, Verdict]:
    """Asks about a few at a time, and keeps what was answered, also where another question failed."""
    with ThreadPoolExecutor(ASKED_AT_A_TIME) as threads:
        answers = [threads.submit(judge.ask, case.prompt(swapped)) for _, case, swapped in some]
        try:
            wait(answers)
        finally:  # who stops the command has paid for these
            found = [
                Verdict(case.id, swapped, name, key, answer.result())
                for (key, case, swapped), answer in zip(some, answers, strict=True)
                if answer.done() and answer.exception() is None
            ]
            _keep(found, store)
    return {
        key: Verdict(case.id, swapped, name, key, _said(answer))
        for (key, case, swapped), answer in zip(some, answers, strict=True)
    }


def _said(answer: Future[str]) -> str:
    try:
        return answer.result()
    except RowError as error:
        log.warning("the judge gave no verdict: %s", error.message)
        return ""


def _keep(verdicts: Sequence[Verdict], store: OutputStore) -> None:
    if verdicts:
        lines = "".join(json.dumps(asdict(verdict), ensure_ascii=False) + "\n" for verdict in verdicts)
        store.create(f"{FOLDER}/{verdicts[0].asked}.jsonl", lines.encode())


def _key(judge: str, case: Case, swapped: bool) -> str:
    # The order counts by itself: where answer and reference are the same, so are both prompts.
    return stable_hash(judge, str(swapped), case.prompt(swapped))


def _judged(case: Case, verdicts: Sequence[Verdict]) -> Judged:
    scores = [verdict.scores for verdict in verdicts]
    given = [score for score in scores if score is not None]
    malformed = len(scores) - len(given)
    if not given:
        return Judged(case.id, None, None, malformed)
    reference, answer = (sum(column) / len(given) for column in zip(*given, strict=True))
    return Judged(case.id, reference, answer, malformed)
