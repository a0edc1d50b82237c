"""BLEU and chrF, by sacrebleu, for translations and other free text."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from earmark.schemas.errors import JobError
from earmark.scoring.normalizers import base_language
from earmark.scoring.pairs import Pair

# sacrebleu's tokenizers as the published evaluation (eval_audio/evaluate_st.py) chooses them; all others by 13a.
TOKENIZERS = {"zh": "zh", "cmn": "zh", "ja": "ja-mecab"}


class TextOverlap:
    """Counts of n-grams that each row shares with its reference; BLEU and chrF are functions of their sums.

    The counts and the scores of sums are sacrebleu's own, as in its bootstrap, so a corpus gets the same figures as
    from `corpus_score`.
    """

    accepts_blank_references = True

    def __init__(self, language: str):
        """`language`: Language of the texts, which decides how BLEU splits them.

        Raises:
            JobError: sacrebleu needs a package for that language that is not installed.
        """
        tokenizer = TOKENIZERS.get(base_language(language), "13a")
        try:
            bleu = BLEU(tokenize=tokenizer, force=True)
        except RuntimeError as error:  # raised for a tokenizer without its dictionary
            raise JobError(f"BLEU of {language} needs {tokenizer}: pip install 'sacrebleu[ja]'") from error
        self._metrics = {"bleu": _Sums(bleu), "chrf": _Sums(CHRF())}
        self._rows = self._blank_references = 0

    def add(self, pairs: Sequence[Pair]) -> list[float]:
        hypotheses = [pair.hypothesis for pair in pairs]
        references = [pair.reference for pair in pairs]
        for metric in self._metrics.values():
            metric.add(hypotheses, references)
        self._rows += len(pairs)
        self._blank_references += sum(not reference.strip() for reference in references)
        chrf = self._metrics["chrf"]
        rows = chrf.rows()[-len(pairs) :] if pairs else ()
        # chrF of two empty texts is 0.
        return [
            0.0 if pair.hypothesis == pair.reference else 100.0 - chrf.score(row)
            for pair, row in zip(pairs, rows, strict=True)
        ]

    def figures(self, weights: np.ndarray) -> Mapping[str, float]:
        has_rows = bool(weights.any())
        return {
            name: metric.score(weights @ metric.rows()) if has_rows else float("nan")
            for name, metric in self._metrics.items()
        }

    def agreement(self) -> Mapping[str, float]:
        return self.figures(np.ones(self._rows))

    def details(self) -> dict[str, Any]:
        return {"signatures": self.signatures, "empty_references": self._blank_references}

    def words(self, pair: Pair) -> None:
        return None

    @property
    def signatures(self) -> Mapping[str, str]:
        """sacrebleu's signature of each metric, for publications; empty before there are rows."""
        return {name: metric.signature for name, metric in self._metrics.items() if len(metric.rows())}


class _Sums:
    """A metric of sacrebleu with the counts of each row."""

    def __init__(self, metric: Metric):
        self._metric = metric
        self._counts = array("i")
        self._width = len(metric._extract_corpus_statistics(["a"], [["a"]])[0])

    def add(self, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        for row in self._metric._extract_corpus_statistics(hypotheses, [references]) if hypotheses else ():
            self._counts.extend(row)

    def rows(self) -> np.ndarray:
        return np.frombuffer(self._counts, np.int32).reshape(-1, self._width)

    def score(self, counts: np.ndarray) -> float:
        return float(self._metric._compute_score_from_stats([round(count) for count in counts]).score)

    @property
    def signature(self) -> str:
        return str(self._metric.get_signature())
