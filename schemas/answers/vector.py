"""Vectors: the audio as numbers, to search and to group by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earmark.schemas.answers.kind import Answer, AnswerKind, AnswerPart, TaskFields

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_NUMBERS = 4


@dataclass(frozen=True, slots=True)
class VectorAnswer(Answer):
    """The answer of embed."""

    vector: tuple[float, ...]

    def as_text(self) -> str:
        """The first numbers, and how many and how long they are."""
        length = math.hypot(*self.vector)
        first = ", ".join(f"{number:.4f}" for number in self.vector[:SHOWN_NUMBERS])
        more = ", …" if len(self.vector) > SHOWN_NUMBERS else ""
        return f"{len(self.vector)} numbers of length {length:.4f}: {first}{more}"

    def column_value(self) -> list[float]:
        return list(self.vector)


@dataclass(frozen=True, slots=True, eq=False)
class VectorPart(AnswerPart):
    """A vector, float32 (dimensions,), of one segment, and the weight of the segment in the mean."""

    weight: float
    vector: np.ndarray


class VectorKind(AnswerKind):
    name = "vector"
    record = VectorAnswer
    takes_text_prompt = False

    def describe(self, task: TaskFields) -> str:
        return f"a vector of {task.dimensions} numbers" if task.dimensions else "a vector of numbers"

    def hub_category(self, task: TaskFields) -> str:
        return "feature-extraction"

    def arrow_type(self, task: TaskFields) -> "pa.DataType":
        import pyarrow as pa

        return pa.list_(pa.float32(), task.dimensions)

    def read(self, value: Sequence[float]) -> VectorAnswer:
        return VectorAnswer(tuple(value))

    def join(self, parts: Sequence[AnswerPart], task: TaskFields, prompt: str) -> VectorAnswer:
        return join_vectors([part for part in parts if isinstance(part, VectorPart)])

    def unset_field(self, task: TaskFields) -> tuple[str, str] | None:
        return None if task.dimensions > 0 else ("dimensions", "the length of its vectors")


def join_vectors(parts: Sequence[VectorPart]) -> VectorAnswer:
    """Mean of the parts' vectors, weighted."""
    mean = np.average([part.vector for part in parts], axis=0, weights=[part.weight for part in parts])
    return VectorAnswer(tuple(mean.astype(np.float32).tolist()))
