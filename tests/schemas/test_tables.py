"""Arrow tables of annotations and failures."""

from dataclasses import dataclass

import pytest

from earmark.schemas.answers.kind import Answer
from earmark.schemas.answers.label import LabelAnswer, LabelScore
from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Annotation, AudioFacts, Recording
from earmark.schemas.tables import annotations_schema, annotations_table, extra_as_map

FACTS = AudioFacts(1.5, 8000, 2, "flac", -20.0, -3.0, 0.0)
SEGMENT = TextSegment(0.5, 1.25, "hello", -0.25)
TRANSCRIPT = Transcript("hello", "en", -0.25, (SEGMENT,), ("too_fast",))
TEXT = TextAnswer("a dog", "What is heard?", -0.5, (SEGMENT,), ("truncated",))
LABEL = LabelAnswer("joy", 0.75, (LabelScore("joy", 0.75), LabelScore("fear", 0.25)), -1.5)
TRANSCRIBE = JobOptions().tasks()
THREE = JobOptions(task=("transcribe", "caption", "emotion")).tasks()


@dataclass(frozen=True)
class Whispered(Transcript):
    volume: float = 0.0


@dataclass(frozen=True)
class TextOnly(Answer):
    text: str


@dataclass(frozen=True)
class Timed(TextSegment):
    speaker: str = ""


def table_of(recording=Recording("a", "a.wav"), tasks=TRANSCRIBE, **answers):  # noqa: B008  # records are frozen
    return annotations_table([Annotation(recording, FACTS, answers)], tasks)


def test_a_row_holds_what_the_records_hold():
    recording = Recording("a", "a.wav", reference="hullo", extra=(("audio", "x"), ("emotion", "sad")))
    (row,) = table_of(recording, transcribe=TRANSCRIPT).to_pylist()
    assert (row["id"], row["uri"]) == ("a", "a.wav")
    assert row["reference"] == "hullo"
    assert row["extra"] == [{"key": "audio", "value": "x"}, {"key": "emotion", "value": "sad"}]
    assert row["audio"]["sample_rate"] == 8000
    assert row["transcribe"] == {
        "text": "hello",
        "language": "en",
        "avg_logprob": -0.25,
        "segments": [{"start_s": 0.5, "end_s": 1.25, "text": "hello", "avg_logprob": -0.25}],
        "flags": ["too_fast"],
    }


def test_texts_and_labels_have_columns_of_their_own_in_the_order_of_the_tasks():
    table = table_of(tasks=THREE, transcribe=TRANSCRIPT, caption=TEXT, emotion=LABEL)
    assert table.column_names[-3:] == ["transcribe", "caption", "emotion"]
    (row,) = table.to_pylist()
    assert row["caption"] == {
        "text": "a dog",
        "prompt": "What is heard?",
        "avg_logprob": -0.5,
        "segments": [{"start_s": 0.5, "end_s": 1.25, "text": "hello", "avg_logprob": -0.25}],
        "flags": ["truncated"],
    }
    assert row["emotion"] == {
        "label": "joy",
        "score": 0.75,
        "scores": [{"label": "joy", "score": 0.75}, {"label": "fear", "score": 0.25}],
        "avg_logprob": -1.5,
    }


def test_an_answer_of_another_kind_than_its_task_s_is_an_error():
    with pytest.raises(ValueError, match="caption has language, which the schema lacks"):
        table_of(tasks=THREE, transcribe=TRANSCRIPT, caption=TRANSCRIPT, emotion=LABEL)
    with pytest.raises(ValueError, match="emotion has flags, prompt, segments, text, which the schema lacks"):
        table_of(tasks=THREE, transcribe=TRANSCRIPT, caption=TEXT, emotion=TEXT)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"transcribe": TRANSCRIPT, "sing": TRANSCRIPT}, "a row has sing, which the schema lacks"),
        ({"transcribe": Whispered("x", None, None)}, "transcribe has volume, which the schema lacks"),
        ({"transcribe": TextOnly("x")}, "transcribe has no avg_logprob, flags, language, segments"),
        ({"transcribe": Transcript("x", None, None, (Timed(0, 1, "x", None),))}, "segments has speaker, which"),
        ({}, "a row has no transcribe, which the schema requires"),
    ],
)
def test_an_answer_outside_the_schema_is_an_error(answers, message):
    with pytest.raises(ValueError, match=message):
        table_of(**answers)


@pytest.mark.parametrize("transcript", [TRANSCRIPT, Transcript("", None, None)])
def test_the_schema_is_the_same_whatever_rows_hold(transcript):
    schema = annotations_schema(TRANSCRIBE)
    assert table_of(transcribe=transcript).schema == schema
    assert annotations_table([], TRANSCRIBE).schema == schema


@pytest.mark.parametrize("rows", [slice(0, 3), slice(1, 3), slice(2, 3), slice(0, 0)])
def test_other_columns_of_the_manifest_are_pairs_that_sql_reads_by_name(rows):
    extras = [(("a", "x"), ("b", "y")), (), (("b", "z"),)]
    made = [
        Annotation(Recording(str(n), "u", extra=extra), FACTS, {"transcribe": TRANSCRIPT})
        for n, extra in enumerate(extras)
    ]
    table = annotations_table(made, TRANSCRIBE)[rows]
    assert table["extra"].to_pylist() == [
        [{"key": key, "value": value} for key, value in extra] for extra in extras[rows]
    ]
    assert [dict(pairs) for pairs in extra_as_map(table)["extra"].to_pylist()] == [
        dict(extra) for extra in extras[rows]
    ]


def test_a_label_without_scores_has_nulls_and_an_empty_list():
    (row,) = table_of(
        tasks=THREE, transcribe=TRANSCRIPT, caption=TEXT, emotion=LabelAnswer("joy", None, (), None)
    ).to_pylist()
    assert row["emotion"] == {"label": "joy", "score": None, "scores": [], "avg_logprob": None}
