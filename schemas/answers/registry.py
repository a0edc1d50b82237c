"""The kinds of answers, by the names that tasks have for them."""

from collections.abc import Mapping

from earmark.schemas.answers.kind import AnswerKind
from earmark.schemas.answers.label import LabelKind
from earmark.schemas.answers.text import TextKind
from earmark.schemas.answers.transcript import TranscriptKind
from earmark.schemas.answers.vector import VectorKind

# In the order in which a format that has room for one text prefers them.
ANSWER_KINDS: Mapping[str, AnswerKind] = {
    kind.name: kind for kind in (TranscriptKind(), TextKind(), LabelKind(), VectorKind())
}
