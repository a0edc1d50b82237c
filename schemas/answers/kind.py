"""Kinds of answers, each with its record, its Arrow type, the join of its segments, its text and its measure.

A kind is one file of this folder and one line of registry.py. pyarrow is imported when a type is built: commands that
answer at once do without it.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Answer:
    """Base of the records that engines return, one class for each kind."""

    def as_text(self) -> str:
        """The answer in one text, for people."""
        raise NotImplementedError

    def confidence(self) -> float | None:
        """Confidence of the model, from 0 to 1; None where it reports no likelihood."""
        return None

    def column_value(self) -> Any:
        """The answer as a value of its column; `AnswerKind.read` is the reverse."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """Base of what engines return for one segment, where they answer segment by segment."""


class TaskFields(Protocol):
    """The fields of a task that its kind of answer depends on."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def target_language(self) -> str: ...
    @property
    def dimensions(self) -> int: ...


class AnswerKind(ABC):
    """A kind of answer.

    Attributes:
        name: Value of `Task.answer`, as job.json spells it.
        record: Class of the answers.
        needs_speech: Whether segments without speech are skipped.
        takes_text_prompt: Whether a text prompt can ask for such an answer.
        text_field: Field of the column that holds the answer as text; "" where the column has no fields.
        short_fields: Fields that scores, reports and flat exports read, `text_field` first. They leave out the bulk of
            a column: segments, and the scores of all labels.
        measures: Names of the measures for such answers (scoring/measures.py); none where nothing scores them.
    """

    name: ClassVar[str]
    record: ClassVar[type[Answer]]
    needs_speech: ClassVar[bool] = False
    takes_text_prompt: ClassVar[bool] = True
    text_field: ClassVar[str] = ""
    short_fields: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def describe(self, task: TaskFields) -> str:
        """Description of an answer to the task, for people: "text", "one of joy, anger, with scores"."""

    @abstractmethod
    def hub_category(self, task: TaskFields) -> str:
        """Hugging Face's name for what the task does, such as automatic-speech-recognition."""

    @abstractmethod
    def arrow_type(self, task: TaskFields) -> "pa.DataType":
        """Type of the task's column."""

    @abstractmethod
    def read(self, value: Any) -> Answer:
        """The answer in a value of the column, as Arrow gives it to Python."""

    @abstractmethod
    def join(self, parts: Sequence[AnswerPart], task: TaskFields, prompt: str) -> Answer:
        """One answer about a recording from those about its segments.

        Args:
            parts: Parts of the answer, in the order of their segments.
            prompt: Text that the model was prompted with, "" for none.
        """

    def measure(self, target_language: str) -> str:
        """The one of `measures` that scores the answers to a task.

        Args:
            target_language: Language that the task translates into, "" for none.
        """
        return self.measures[0]

    def unset_field(self, task: TaskFields) -> tuple[str, str] | None:
        """Task field that only the model can fill and that is still empty, and what it holds, for people."""
        return None

    def mismatch(self, answer: Any, task: TaskFields) -> str:
        """Error in an answer of the right class, with the remedy; "" for none."""
        return ""
