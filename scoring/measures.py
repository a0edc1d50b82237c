"""The measures by name; schemas/answers names those of each kind of answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from earmark.scoring.labels import LabelMatches
from earmark.scoring.normalizers import Normalizer
from earmark.scoring.pairs import Measure
from earmark.scoring.text_overlap import TextOverlap
from earmark.scoring.word_errors import WordErrors


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """The options of a measure.

    Attributes:
        normalizer: Normalizer of transcripts; None to choose one by the language of each.
        language: Language of the references and answers.
        labels: Labels of the task; empty for an open set.
    """

    normalizer: Normalizer | None = None
    language: str = "en"
    labels: tuple[str, ...] = ()


MEASURES: Mapping[str, Callable[[MeasureOptions], Measure]] = {
    "transcript": lambda options: WordErrors(options.normalizer),
    "translation": lambda options: TextOverlap(options.language),
    "text": lambda options: TextOverlap(options.language),
    "label": lambda options: LabelMatches(options.labels),
}
