"""AIR-Bench's chat judge: a language model scores a reference and an answer, given a description of the audio and the
question (score_chat.py and cal_score.py of OFA-Sys/AIR-Bench)."""

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
PARALLEL_REQUESTS = 8
# The prompt names 1 to 10, but published means below 1 show that zeros were given, and counted.
LOWEST, HIGHEST = 0.0, 10.0
TWO_SCORES = re.compile(r"\s*(\d+(?:\.\d+)?)[\s,]+(\d+(?:\.\d+)?)\s*")

# The published wording, which the scores depend on.
PROMPT = (
    "You are a helpful and precise assistant for checking the quality of the answer.\n"
    "[Detailed Audio Description]\n{description}\n[Question]\n{question}\n"
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
        """The model's answer. Raises RowError where it has none to this prompt."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """An answer to be judged.

    Attributes:
        description: Description of the audio.
        reference: The right answer.
    """

    id: str
    description: str
    question: str
    reference: str
    answer: str

    def prompt(self, swapped: bool) -> str:
        """The judge's prompt; the reference is Assistant 1, or Assistant 2 where `swapped`."""
        first, second = (self.answer, self.reference) if swapped else (self.reference, self.answer)
        return PROMPT.format(description=self.description, question=self.question, first=first, second=second)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's verdict on a case, as it is stored.

    Attributes:
        judge: Name of the judge.
        asked: Hash of the judge and the prompt.
        said: Text of the verdict.
    """

    id: str
    swapped: bool
    judge: str
    asked: str
    said: str

    @property
    def scores(self) -> tuple[float, float] | None:
        """Scores of the reference and of the answer; None where the verdict is not two scores."""
        match = TWO_SCORES.fullmatch(self.said)
        if not match:
            return None
        first, second = float(match[1]), float(match[2])
        if max(first, second) > HIGHEST:
            return None
        return (second, first) if self.swapped else (first, second)


@dataclass(frozen=True, slots=True)
class Judged:
    """The scores of a case, each the mean over the orders in which the judge gave two scores.

    Attributes:
        malformed: Number of the case's two verdicts without two scores; if both, the scores are None.
    """

    id: str
    reference: float | None
    answer: float | None
    malformed: int


def judge_all(cases: Sequence[Case], judge: Judge, name: str, store: OutputStore) -> list[Judged]:
    """Judge each case in both orders. Verdicts are stored in FOLDER of the output, and none is requested twice.

    Args:
        name: Name of the judge; verdicts of other judges do not count.

    Raises:
        What judge.ask raises other than RowError, after the verdicts that arrived are stored.
    """
    requests = [(case, swapped) for case in cases for swapped in (False, True)]
    keys = [_key(name, *request) for request in requests]
    verdicts_by_key = stored_verdicts(store)
    by_key = dict(zip(keys, requests, strict=True))
    pending = [(key, *request) for key, request in by_key.items() if key not in verdicts_by_key]
    for start in range(0, len(pending), PARALLEL_REQUESTS):
        verdicts_by_key |= _request_verdicts(pending[start : start + PARALLEL_REQUESTS], judge, name, store)
    verdicts = [verdicts_by_key[key] for key in keys]
    return [_judged(case, verdicts[2 * index : 2 * index + 2]) for index, case in enumerate(cases)]


def stored_verdicts(store: OutputStore) -> dict[str, Verdict]:
    """Verdicts of earlier runs, by `Verdict.asked`."""
    paths = [f"{FOLDER}/{file}" for file in store.names(FOLDER) if file.endswith(".jsonl")]
    lines = (line for _, content in store.read_all(paths) for line in content.decode().split("\n") if line)
    return {verdict.asked: verdict for verdict in (Verdict(**json.loads(line)) for line in lines)}


def _request_verdicts(
    requests: Sequence[tuple[str, Case, bool]], judge: Judge, name: str, store: OutputStore
) -> dict[str, Verdict]:
    """Send requests at the same time, and store the verdicts that arrive, even where another request fails."""
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as threads:
        answers = [threads.submit(judge.ask, case.prompt(swapped)) for _, case, swapped in requests]
        try:
            wait(answers)
        finally:  # these are paid for, even where the command is interrupted
            verdicts = [
                Verdict(case.id, swapped, name, key, answer.result())
                for (key, case, swapped), answer in zip(requests, answers, strict=True)
                if answer.done() and answer.exception() is None
            ]
            _store(verdicts, store)
    return {
        key: Verdict(case.id, swapped, name, key, _verdict_text(answer))
        for (key, case, swapped), answer in zip(requests, answers, strict=True)
    }


def _verdict_text(answer: Future[str]) -> str:
    try:
        return answer.result()
    except RowError as error:
        log.warning("the judge gave no verdict: %s", error.message)
        return ""


def _store(verdicts: Sequence[Verdict], store: OutputStore) -> None:
    if verdicts:
        lines = "".join(json.dumps(asdict(verdict), ensure_ascii=False) + "\n" for verdict in verdicts)
        store.create(f"{FOLDER}/{verdicts[0].asked}.jsonl", lines.encode())


def _key(judge: str, case: Case, swapped: bool) -> str:
    # The order is part of the key: where answer and reference are equal, both prompts are too.
    return stable_hash(judge, str(swapped), case.prompt(swapped))


def _judged(case: Case, verdicts: Sequence[Verdict]) -> Judged:
    scores = [verdict.scores for verdict in verdicts]
    valid = [score for score in scores if score is not None]
    malformed = len(scores) - len(valid)
    if not valid:
        return Judged(case.id, None, None, malformed)
    reference, answer = (sum(column) / len(valid) for column in zip(*valid, strict=True))
    return Judged(case.id, reference, answer, malformed)
