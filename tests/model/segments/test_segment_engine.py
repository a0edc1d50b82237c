"""Engines that hear one segment at a time: what is heard, in which order, and who pays for what goes wrong."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.segments.batching import plan_batches
from earmark.model.segments.segment_engine import SegmentTask, annotate_by_segment, label_weight
from earmark.schemas.answers.label import LabelAnswer, LabelPart
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer, VectorPart
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Segment

TASKS = JobOptions(task=("transcribe", "caption", "emotion", "embed")).tasks()
FACTS = AudioFacts(1.0, SAMPLE_RATE_HZ, 1, "wav", -20.0, -3.0, 0.0)
REFUSED = RowError("unknown_language", "no")


class Memory:
    """Answers with what a piece alone can tell, and remembers what it was shown.

    Attributes:
        room: samples of a batch, padding included, that fit into its memory.
        heard: pieces that were answered, as (index of the clip, start, end).
    """

    def __init__(self, budget=50, room=10**9):
        self._budget, self._room = budget, room
        self.heard: list[tuple[int, int, int]] = []
        self.batches: list[int] = []

    def prompts(self, recording, tasks):
        if recording.language == "klingon":
            raise REFUSED
        return tuple(f"{task.name} {recording.id}?" for task in tasks)

    def plan_batches(self, lengths):
        return plan_batches(lengths, self._budget)

    def infer(self, pieces):
        if len(pieces) * max(len(piece.samples) for piece in pieces) > self._room:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        self.batches.append(len(pieces))
        self.heard += [(piece.index, piece.segment.start, piece.segment.end) for piece in pieces]
        return [{task.name: part_of(piece, task) for task in piece.tasks} for piece in pieces]


def part_of(piece, task):
    length = len(piece.samples)
    if task.answer == "vector":
        return VectorPart(float(length), np.array([piece.samples[0], piece.samples[-1]], np.float32))
    if task.answer == "label":
        logprobs = [-abs(piece.samples[0] - number) for number in range(len(task.labels))]
        return LabelPart(label_weight(piece), tuple(logprobs), (1,) * len(logprobs))
    text = f"{piece.samples[0]:.0f}-{piece.samples[-1]:.0f}"
    said = TextSegment(piece.time_s(0), piece.time_s(length), text, -0.5)
    return SpokenPart((said,), -0.5, 1, frozenset())


@st.composite
def clips(draw, id="r"):
    """A clip in segments without gaps, some of them without speech, that starts anywhere in its file."""
    lengths = draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))
    bounds = np.cumsum([0, *lengths]).tolist()
    segments = tuple(
        Segment(start, end, draw(st.integers(0, end - start)) if draw(st.booleans()) else 0)
        for start, end in itertools.pairwise(bounds)
    )
    samples = draw(st.integers(0, 90)) + np.arange(bounds[-1], dtype=np.float32)
    language = draw(st.sampled_from([None, None, None, "klingon"]))
    offset_s = draw(st.sampled_from([0.0, 12.5]))
    return Clip(Recording(id, "r.wav", offset_s, language=language), samples, FACTS, segments)


MANY = st.lists(clips(), max_size=6)
SOME_TASKS = st.lists(st.sampled_from(TASKS), min_size=1, max_size=4, unique=True)


def refused(clip):
    return clip.recording.language == "klingon"


@given(MANY, SOME_TASKS, st.integers(1, 100))
def test_each_segment_is_heard_once_in_whatever_batches(many, tasks, budget):
    model = Memory(budget)
    annotate_by_segment(model, many, tasks)
    only_speech = all(task.needs_speech for task in tasks)
    assert sorted(model.heard) == [
        (index, segment.start, segment.end)
        for index, clip in enumerate(many)
        for segment in clip.segments
        if not refused(clip) and (segment.speech or not only_speech)
    ]


@given(MANY, SOME_TASKS, st.integers(1, 100))
def test_an_answer_is_the_same_whatever_the_neighbours(many, tasks, budget):
    found = annotate_by_segment(Memory(budget), many, tasks)
    assert found == [annotate_by_segment(Memory(), [clip], tasks)[0] for clip in many]


@given(MANY, SOME_TASKS)
def test_a_refused_recording_costs_itself(many, tasks):
    found = annotate_by_segment(Memory(), many, tasks)
    assert [answers is REFUSED for answers in found] == [refused(clip) for clip in many]


@given(clips(), st.integers(1, 30))
def test_parts_are_joined_in_the_order_of_the_recording(clip, budget):
    if refused(clip):
        return
    (answers,) = annotate_by_segment(Memory(budget), [clip], TASKS)
    assert isinstance(answers, dict)
    assert list(answers) == [task.name for task in TASKS]
    starts_s = [clip.recording.offset_s + segment.start / SAMPLE_RATE_HZ for segment in clip.segments]
    spoken_s = [start for start, segment in zip(starts_s, clip.segments, strict=True) if segment.speech]
    transcript, caption, emotion, embed = answers.values()
    assert isinstance(transcript, Transcript) and isinstance(caption, TextAnswer)
    assert [said.start_s for said in transcript.segments] == spoken_s
    assert [said.start_s for said in caption.segments] == starts_s
    assert caption.prompt == "caption r?"
    assert isinstance(emotion, LabelAnswer) and sum(one.score for one in emotion.scores) == pytest.approx(1)
    assert isinstance(embed, VectorAnswer) and len(embed.vector) == 2


@given(MANY, SOME_TASKS, st.integers(20, 60))
def test_a_batch_that_does_not_fit_is_halved(many, tasks, room):
    tight = Memory(budget=500, room=room)
    assert annotate_by_segment(tight, many, tasks) == annotate_by_segment(Memory(), many, tasks)
    assert len(tight.heard) == len(set(tight.heard))


@given(MANY, st.integers(1, 19))
def test_a_segment_that_never_fits_costs_its_recording(many, room):
    tasks = TASKS[1:]  # which need no speech: every segment is heard
    found = annotate_by_segment(Memory(500, room), many, tasks)
    for clip, answers, alone in zip(many, found, annotate_by_segment(Memory(), many, tasks), strict=True):
        if not refused(clip) and any(segment.end - segment.start > room for segment in clip.segments):
            assert isinstance(answers, RowError)
            assert answers.error == "out_of_memory"
        else:
            assert answers == alone


def test_a_device_that_fails_otherwise_is_the_machine_s():
    class Broken(Memory):
        def infer(self, pieces):
            raise RuntimeError("device-side assert triggered")

    clip = Clip(Recording("r", "r.wav"), np.zeros(9, np.float32), FACTS, (Segment(0, 9, 9),))
    with pytest.raises(MachineError, match="device-side assert"):
        annotate_by_segment(Broken(), [clip], TASKS)


def test_labels_count_by_speech_where_there_is_any():
    def weights(*speech):
        segments = tuple(Segment(9 * index, 9 * index + 9, one) for index, one in enumerate(speech))
        clip = Clip(Recording("r", "r.wav"), np.zeros(9 * len(speech), np.float32), FACTS, segments)
        return [label_weight(SegmentTask(0, clip, segment, (), ())) for segment in segments]

    assert weights(0, 4, 9) == [0, 4, 9]
    assert weights(0, 0) == [9, 9]


def test_nothing_is_heard_of_nothing():
    assert annotate_by_segment(Memory(), [], TASKS) == []
    silent = Clip(Recording("r", "r.wav"), np.zeros(9, np.float32), FACTS, (Segment(0, 9, 0),))
    model = Memory()
    (answers,) = annotate_by_segment(model, [silent], TASKS[:1])
    assert answers == {"transcribe": Transcript("", None, None, (), ("no_speech",))}
    assert model.heard == []
