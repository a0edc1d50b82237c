"""Labels: one of a closed set, with the scores of all labels where the model reports likelihoods."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earmark.schemas.answers.kind import Answer, AnswerKind, AnswerPart, TaskFields

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LabelScore:
    """`score`: the label's share of the likelihood of all labels, from 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class LabelAnswer(Answer):
    """The answer of a closed set: the likeliest label, and the scores of all labels, in the task's order.

    `avg_logprob` is the mean log-probability of a token of `label`, its end included: it is low where the model would
    rather have generated something else. A server that reports no likelihoods leaves it and `score` None, and `scores`
    empty.
    """

    label: str
    score: float | None
    scores: tuple[LabelScore, ...]
    avg_logprob: float | None

    def as_text(self) -> str:
        return self.label

    def confidence(self) -> float | None:
        return self.score


@dataclass(frozen=True, slots=True)
class LabelPart(AnswerPart):
    """Likelihood of each label in one segment.

    Attributes:
        weight: Weight of the segment in the answer.
        logprobs: Log-likelihood of each label; -inf for one that the model does not have, but never for all.
        tokens: Number of tokens of each label, the end token among them.
    """

    weight: float
    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChosenPart(AnswerPart):
    """The label of one segment, from a model that does not report how likely the others were."""

    weight: float
    label: str


class LabelKind(AnswerKind):
    name = "label"
    record = LabelAnswer
    text_field = "label"
    measures = ("label",)
    short_fields = ("label", "score", "avg_logprob")

    def describe(self, task: TaskFields) -> str:
        return f"one of {', '.join(task.labels) or 'the labels of the model'}, with scores"

    def hub_category(self, task: TaskFields) -> str:
        return "audio-classification"

    def arrow_type(self, task: TaskFields) -> "pa.DataType":
        import pyarrow as pa

        return pa.struct(
            [
                ("label", pa.string()),
                ("score", pa.float32()),
                ("scores", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))),
                ("avg_logprob", pa.float32()),
            ]
        )

    def read(self, value: Mapping[str, Any]) -> LabelAnswer:
        return LabelAnswer(**{**value, "scores": tuple(LabelScore(**score) for score in value["scores"] or ())})

    def join(self, parts: Sequence[AnswerPart], task: TaskFields, prompt: str) -> LabelAnswer:
        scored = [part for part in parts if isinstance(part, LabelPart)]
        chosen = [part for part in parts if isinstance(part, ChosenPart)]
        return join_choices(task.labels, [*scored, *chosen]) if chosen else join_labels(task.labels, scored)

    def unset_field(self, task: TaskFields) -> tuple[str, str] | None:
        return None if task.labels else ("labels", "its labels")

    def mismatch(self, answer: LabelAnswer, task: TaskFields) -> str:
        if answer.label in task.labels:
            return ""
        return f"{answer.label!r} to {task.name}; choose from {', '.join(task.labels)}"


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
        if not share:  # 0 times -inf is NaN
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

    Of labels with equal votes, the first of `labels` wins.
    """
    is_weighted = any(part.weight for part in parts)
    votes = dict.fromkeys(labels, 0.0)
    for part in parts:
        label = part.label if isinstance(part, ChosenPart) else labels[_index_of_max(part.logprobs)]
        votes[label] += part.weight if is_weighted else 1.0
    return LabelAnswer(max(votes, key=votes.__getitem__), None, (), None)


def _index_of_max(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
