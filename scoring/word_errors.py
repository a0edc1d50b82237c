"""Word and character error rates, counted by jiwer."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np

from earmark.scoring.normalizers import Normalizer, normalizer_for
from earmark.scoring.pairs import Pair

COUNTED = 8  # numbers a row: hits, substitutions, deletions, insertions, of words and of characters


@dataclass(frozen=True, slots=True)
class Edits:
    """Edits that turn references into hypotheses, in words or in characters."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        return self.hits + self.substitutions + self.deletions


class WordErrors:
    """The edits of each row.

    The words of an answer to an empty reference count as insertions, as in the published evaluation.
    """

    accepts_blank_references = True

    def __init__(self, normalizer: Normalizer | None = None):
        """`normalizer`: Normalizer of all rows; None to choose one by the language of each."""
        self._normalizer = normalizer
        self._counts = array("i")
        self._empty = array("b")
        self.normalizers: Counter[str] = Counter()  # number of rows by the name of their normalizer

    def add(self, pairs: Sequence[Pair]) -> list[float]:
        normalizers = [self._normalizer or normalizer_for(pair.language) for pair in pairs]
        self.normalizers.update(normalizer.name for normalizer in normalizers)
        references = [by.words(pair.reference) for by, pair in zip(normalizers, pairs, strict=True)]
        hypotheses = [by.words(pair.hypothesis) for by, pair in zip(normalizers, pairs, strict=True)]
        of_words = edits_of(references, hypotheses)
        between = ["" if by.by_characters else " " for by in normalizers]
        of_characters = edits_of(
            [list(space.join(words)) for space, words in zip(between, references, strict=True)],
            [list(space.join(words)) for space, words in zip(between, hypotheses, strict=True)],
        )
        for words, characters in zip(of_words, of_characters, strict=True):
            for edits in (words, characters):
                self._counts.extend((edits.hits, edits.substitutions, edits.deletions, edits.insertions))
        self._empty.extend(not words for words in references)
        return [edits.errors / max(1, edits.reference_length) for edits in of_words]

    def edits(self, weights: np.ndarray) -> tuple[Edits, Edits]:
        """Edits of words and of characters, summed over the rows."""
        sums = [round(total) for total in weights @ self._rows()]
        return Edits(*sums[:4]), Edits(*sums[4:])

    def figures(self, weights: np.ndarray) -> Mapping[str, float]:
        sums = weights @ self._rows()
        return {"wer": _rate(*sums[:4]), "cer": _rate(*sums[4:])}

    def agreement(self) -> Mapping[str, float]:
        return self.figures(np.ones(len(self._empty)))

    def details(self) -> dict[str, Any]:
        is_empty = np.frombuffer(self._empty, np.int8).astype(np.float64)  # references without words
        words, characters = self.edits(np.ones(len(is_empty)))
        return {
            "empty_references": int(is_empty.sum()),
            "insertions_in_empty": self.edits(is_empty)[0].insertions,
            "normalizers": dict(self.normalizers),
            "words": words,
            "characters": characters,
        }

    def words(self, pair: Pair) -> tuple[list[str], list[str]]:
        normalizer = self._normalizer or normalizer_for(pair.language)
        return normalizer.words(pair.reference), normalizer.words(pair.hypothesis)

    def _rows(self) -> np.ndarray:
        return np.frombuffer(self._counts, np.int32).reshape(-1, COUNTED)


def edits_of(references: Sequence[list[str]], hypotheses: Sequence[list[str]]) -> list[Edits]:
    """The edits of each pair of token lists."""
    if not references:
        return []
    return [_edits(chunks) for chunks in alignments(references, hypotheses)]


def alignments(references: Sequence[list[str]], hypotheses: Sequence[list[str]]) -> list[list[jiwer.AlignmentChunk]]:
    """jiwer's alignment of each pair of token lists."""
    output = jiwer.process_words(list(references), list(hypotheses), _as_it_is, _as_it_is)  # type: ignore[arg-type]
    return output.alignments


def _as_it_is(tokens: list[list[str]]) -> list[list[str]]:
    """Keeps jiwer from splitting texts at spaces: they are split already, some into characters."""
    return tokens


def _edits(chunks: Sequence[jiwer.AlignmentChunk]) -> Edits:
    counts = {"equal": 0, "substitute": 0, "delete": 0, "insert": 0}
    for chunk in chunks:
        in_reference, in_hypothesis = chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
        counts[chunk.type] += max(in_reference, in_hypothesis)
    return Edits(counts["equal"], counts["substitute"], counts["delete"], counts["insert"])


def _rate(hits: float, substitutions: float, deletions: float, insertions: float) -> float:
    length = hits + substitutions + deletions
    return float((substitutions + deletions + insertions) / length) if length else float("nan")
