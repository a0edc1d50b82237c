"""Answers about the segments of a recording, as one answer about the recording."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.schemas.records import LabelAnswer, LabelScore, TextAnswer, TextSegment, Transcript, VectorAnswer

# Written without spaces between words (whisper/tokenizer.py, split_to_word_tokens).
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


@dataclass(frozen=True, slots=True)
class SpokenPart:
    """What a model wrote about one segment.

    Attributes:
        segments: the text, in pieces with their times; none where it wrote nothing.
        logprob_sum: of `tokens` tokens, the end token among them.
        language: of the text, where the model knows it.
        text: where it is not that of the segments with spaces between them: segments of single characters.
    """

    segments: tuple[TextSegment, ...]
    logprob_sum: float
    tokens: int
    flags: frozenset[str]
    language: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class LabelPart:
    """What a model thinks of one segment.

    Attributes:
        weight: how much the segment counts.
        logprobs: log-likelihood of each label; -inf for one that the model does not know, but never for all.
        tokens: of each label, the end token among them.
    """

    weight: float
    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChosenPart:
    """The label that a model said of one segment, one of the task's, where nothing tells how likely the others were."""

    weight: float
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class VectorPart:
    """A vector, float32 (dimensions,), of one segment, and how much the segment counts."""

    weight: float
    vector: np.ndarray


def join_transcript(parts: Sequence[SpokenPart], language: str | None) -> Transcript:
    """The parts in order, as one transcript in `language`."""
    segments = tuple(segment for part in parts for segment in part.segments)
    flags = {flag for part in parts for flag in part.flags} - {"no_speech"}
    if not segments:
        flags.add("no_speech")
    space = "" if language in UNSPACED_LANGUAGES else " "
    return Transcript(_text(parts, space), language, _avg_logprob(parts), segments, tuple(sorted(flags)))


def join_text(parts: Sequence[SpokenPart], prompt: str) -> TextAnswer:
    """The parts in order, as one answer to `prompt`."""
    segments = tuple(segment for part in parts for segment in part.segments)
    flags = {flag for part in parts for flag in part.flags}
    return TextAnswer(_text(parts, " "), prompt, _avg_logprob(parts), segments, tuple(sorted(flags)))


def _text(parts: Sequence[SpokenPart], space: str) -> str:
    texts = [space.join(one.text for one in part.segments) if part.text is None else part.text for part in parts]
    return space.join(text for text, part in zip(texts, parts, strict=True) if part.segments)


def _avg_logprob(parts: Sequence[SpokenPart]) -> float | None:
    tokens = sum(part.tokens for part in parts)
    return sum(part.logprob_sum for part in parts) / tokens if tokens else None


def join_labels(labels: Sequence[str], parts: Sequence[LabelPart]) -> LabelAnswer:
    """Mean of the parts' scores, weighted; where no weight is above 0, all parts count alike.

    The scores of a part are the softmax of the labels' log-likelihoods, so they add up to 1.
    """
    weights = [part.weight for part in parts]
    if not any(weights):
        weights = [1.0] * len(parts)
    shares = [weight / sum(weights) for weight in weights]
    scores = [0.0] * len(labels)
    logprobs = [0.0] * len(labels)
    for share, part in zip(shares, parts, strict=True):
        if not share:  # nothing times -inf is no number
            continue
        likeliest = max(part.logprobs)
        likelihoods = [math.exp(logprob - likeliest) for logprob in part.logprobs]
        for index, likelihood in enumerate(likelihoods):
            scores[index] += share * likelihood / sum(likelihoods)
            logprobs[index] += share * part.logprobs[index] / part.tokens[index]
    likeliest_label = max(range(len(labels)), key=scores.__getitem__)
    return LabelAnswer(
        labels[likeliest_label],
        scores[likeliest_label],
        tuple(map(LabelScore, labels, scores)),
        logprobs[likeliest_label],
    )


def join_choices(labels: Sequence[str], parts: Sequence[ChosenPart | LabelPart]) -> LabelAnswer:
    """The label of the most parts, by weight, or by number where no weight is above 0; it has no score.

    Of labels with as much, the first of `labels`.
    """
    weighed = any(part.weight for part in parts)
    votes = dict.fromkeys(labels, 0.0)
    for part in parts:
        label = part.label if isinstance(part, ChosenPart) else labels[int(np.argmax(part.logprobs))]
        votes[label] += part.weight if weighed else 1.0
    return LabelAnswer(max(votes, key=votes.__getitem__), None, (), None)


def join_vectors(parts: Sequence[VectorPart]) -> VectorAnswer:
    """Mean of the parts' vectors, weighted."""
    mean = np.average([part.vector for part in parts], axis=0, weights=[part.weight for part in parts])
    return VectorAnswer(tuple(mean.astype(np.float32).tolist()))
