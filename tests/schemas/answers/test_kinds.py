"""The kinds of answers hold together: registry, columns, measures."""

import pyarrow as pa
import pytest

from earmark.schemas.answers.label import LabelAnswer, LabelScore
from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.tasks import BUILT_IN, Task
from earmark.scoring.measures import MEASURES
from earmark.scoring.options import MEASURE_NAMES

SEGMENT = TextSegment(0.0, 1.5, "a dog", -0.5)
ANSWERS = {
    "transcript": Transcript("a dog", "en", -0.5, (SEGMENT,), ("too_fast",)),
    "text": TextAnswer("a dog", "What is it?", None, (SEGMENT,)),
    "label": LabelAnswer("joy", 0.75, (LabelScore("joy", 0.75), LabelScore("anger", 0.25)), -0.5),
    "vector": VectorAnswer((0.5, -1.0, 0.25)),
}


def test_every_kind_has_an_example_here():
    assert ANSWERS.keys() == ANSWER_KINDS.keys()
    assert all(type(ANSWERS[name]) is kind.record for name, kind in ANSWER_KINDS.items())


@pytest.mark.parametrize("name", ANSWER_KINDS)
def test_an_answer_is_read_from_its_column_as_it_was_written(name):
    kind, task = ANSWER_KINDS[name], Task("t", "", None, "", name, dimensions=3)
    column = pa.array([ANSWERS[name].column_value()], kind.arrow_type(task))
    assert kind.read(column.to_pylist()[0]) == ANSWERS[name]


@pytest.mark.parametrize("name", ANSWER_KINDS)
def test_short_fields_are_fields_of_the_column(name):
    kind = ANSWER_KINDS[name]
    column = kind.arrow_type(Task("t", "", None, "", name, dimensions=3))
    fields = {field.name for field in column} if pa.types.is_struct(column) else set()
    assert set(kind.short_fields) <= fields
    assert kind.short_fields[:1] == ((kind.text_field,) if kind.text_field else ())
    assert bool(kind.measures) == bool(kind.short_fields)


def test_every_measure_of_a_kind_is_defined():
    assert MEASURE_NAMES == ("transcript", "translation", "text", "label")
    assert set(MEASURE_NAMES) == MEASURES.keys()


def test_answers_are_shown_in_one_text():
    texts = [answer.as_text() for answer in ANSWERS.values()]
    assert texts == ["a dog", "a dog", "joy", "3 numbers of length 1.1456: 0.5000, -1.0000, 0.2500"]


@pytest.mark.parametrize(
    ("task", "description", "category"),
    [
        ("transcribe", "a transcript", "automatic-speech-recognition"),
        ("translate", "a translation into en", "translation"),
        ("caption", "text", "audio-text-to-text"),
        (
            "vocal_sound",
            "one of Laughter, Sigh, Cough, Throat clearing, Sneeze, Sniff, with scores",
            "audio-classification",
        ),
        ("embed", "a vector of numbers", "feature-extraction"),
    ],
)
def test_built_in_tasks_are_described(task, description, category):
    task = next(one for one in BUILT_IN if one.name == task)
    assert (task.answer_kind.describe(task), task.answer_kind.hub_category(task)) == (description, category)
