"""The loop over segments: which segments run, in which order, how answers are joined, and what an error fails."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.segments.batching import plan_batches
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import SegmentTask, label_weight, spoken_part
from earmark.schemas.answers.label import LabelAnswer, LabelPart
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer, VectorPart
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Segment

TASKS = JobOptions(task=("transcribe", "caption", "emotion", "embed")).tasks()
FACTS = AudioFacts(1.0, SAMPLE_RATE_HZ, 1, "wav", -20.0, -3.0, 0.0)
REFUSED = RowError("unknown_language", "no")


class FakeEngine(SegmentEngine):
    """Answers with what a segment alone can tell, and keeps what it ran.

    Attributes:
        room: Samples of a batch, padding included, that fit into its memory.
        ran: Segments that were answered, as (index of the clip, start, end).
        batches: Sizes of the batches that were answered.
    """

    def __init__(self, budget=50, room=10**9):
        self._budget, self._room = budget, room
        self.ran: list[tuple[int, int, int]] = []
        self.batches: list[int] = []

    def prompts(self, recording, tasks):
        if recording.language == "klingon":
            raise REFUSED
        return tuple(f"{task.name} {recording.id}?" for task in tasks)

    def plan_batches(self, segment_tasks):
        return plan_batches([segment_task.length for segment_task in segment_tasks], self._budget)

    def infer(self, batch):
        if len(batch) * max(segment_task.length for segment_task in batch) > self._room:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        self.batches.append(len(batch))
        self.ran += [bounds_of(segment_task) for segment_task in batch]
        return [{task.name: part_of(segment_task, task) for task in segment_task.tasks} for segment_task in batch]


class OrderedEngine(FakeEngine):
    """Runs the last segment of each recording before the others."""

    def order(self, segment_tasks):
        last = {segment_task.index: segment_task for segment_task in segment_tasks}
        return [list(last.values()), [item for item in segment_tasks if item is not last[item.index]]]


class PreparingEngine(FakeEngine):
    """Keeps which batches were prepared and which ran, in order."""

    def __init__(self, budget=50, room=10**9):
        super().__init__(budget, room)
        self.steps: list[tuple[str, int]] = []

    def prepare(self, batch):
        self.steps.append(("prepare", len(batch)))
        return lambda: self._run_prepared(batch)

    def infer(self, batch):
        return self.prepare(batch)()

    def _run_prepared(self, batch):
        self.steps.append(("run", len(batch)))
        return super().infer(batch)


def bounds_of(segment_task):
    return segment_task.index, segment_task.segment.start, segment_task.segment.end


def part_of(segment_task, task):
    first, last = segment_task.samples[[0, -1]]
    if task.answer == "vector":
        return VectorPart(float(segment_task.length), np.array([first, last], np.float32))
    if task.answer == "label":
        logprobs = [-abs(first - number) for number in range(len(task.labels))]
        return LabelPart(label_weight(segment_task), tuple(logprobs), (1,) * len(logprobs))
    return spoken_part(segment_task, f"{first:.0f}-{last:.0f}", frozenset(), -0.5, 1)


@st.composite
def clips(draw, id="r"):
    """A clip in segments without gaps, some without speech, that starts anywhere in its file."""
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
def test_each_segment_runs_once_whatever_the_batches(many, tasks, budget):
    model = FakeEngine(budget)
    model.annotate(many, tasks)
    only_speech = all(task.needs_speech for task in tasks)
    assert sorted(model.ran) == [
        (index, segment.start, segment.end)
        for index, clip in enumerate(many)
        for segment in clip.segments
        if not refused(clip) and (segment.speech or not only_speech)
    ]


@given(MANY, SOME_TASKS, st.integers(1, 100))
def test_an_answer_does_not_depend_on_its_neighbours(many, tasks, budget):
    results = FakeEngine(budget).annotate(many, tasks)
    assert results == [FakeEngine().annotate([clip], tasks)[0] for clip in many]


@given(MANY, SOME_TASKS)
def test_a_refused_recording_fails_alone(many, tasks):
    results = FakeEngine().annotate(many, tasks)
    assert [answers is REFUSED for answers in results] == [refused(clip) for clip in many]


@given(clips(), st.integers(1, 30))
def test_parts_are_joined_in_the_order_of_the_recording(clip, budget):
    if refused(clip):
        return
    (answers,) = FakeEngine(budget).annotate([clip], TASKS)
    assert isinstance(answers, dict)
    assert list(answers) == [task.name for task in TASKS]
    starts_s = [clip.recording.offset_s + segment.start / SAMPLE_RATE_HZ for segment in clip.segments]
    spoken_s = [start for start, segment in zip(starts_s, clip.segments, strict=True) if segment.speech]
    transcript, caption, emotion, embed = answers.values()
    assert isinstance(transcript, Transcript) and isinstance(caption, TextAnswer)
    assert [item.start_s for item in transcript.segments] == spoken_s
    assert [item.start_s for item in caption.segments] == starts_s
    assert caption.prompt == "caption r?"
    assert isinstance(emotion, LabelAnswer) and sum(item.score for item in emotion.scores) == pytest.approx(1)
    assert isinstance(embed, VectorAnswer) and len(embed.vector) == 2


@given(MANY, SOME_TASKS, st.integers(20, 60))
def test_a_batch_that_does_not_fit_is_halved(many, tasks, room):
    tight = FakeEngine(budget=500, room=room)
    assert tight.annotate(many, tasks) == FakeEngine().annotate(many, tasks)
    assert len(tight.ran) == len(set(tight.ran))


@given(MANY, st.integers(1, 19))
def test_a_segment_that_never_fits_fails_its_recording(many, room):
    tasks = TASKS[1:]  # which need no speech: every segment runs
    results = FakeEngine(500, room).annotate(many, tasks)
    for clip, answers, alone in zip(many, results, FakeEngine().annotate(many, tasks), strict=True):
        if not refused(clip) and any(segment.end - segment.start > room for segment in clip.segments):
            assert isinstance(answers, RowError)
            assert answers.error == "out_of_memory"
        else:
            assert answers == alone


@given(MANY, SOME_TASKS, st.integers(1, 60))
def test_groups_run_in_their_order_with_the_same_answers(many, tasks, budget):
    engine = OrderedEngine(budget)
    assert engine.annotate(many, tasks) == FakeEngine().annotate(many, tasks)
    last = {index: bounds for bounds in sorted(engine.ran) for index in [bounds[0]]}
    assert set(engine.ran[: len(last)]) == set(last.values())
    assert len(engine.ran) == len(set(engine.ran))


def test_a_recording_that_has_failed_does_not_run_in_later_groups():
    clips = [
        Clip(Recording("long", "r.wav"), np.zeros(12, np.float32), FACTS, (Segment(0, 3, 3), Segment(3, 12, 9))),
        Clip(Recording("short", "r.wav"), np.zeros(6, np.float32), FACTS, (Segment(0, 3, 3), Segment(3, 6, 3))),
    ]
    engine = OrderedEngine(room=8)
    failed, answers = engine.annotate(clips, TASKS)
    assert isinstance(failed, RowError) and not isinstance(answers, RowError)
    assert sorted(engine.ran) == [(1, 0, 3), (1, 3, 6)]


@given(MANY, SOME_TASKS, st.integers(1, 60), st.integers(20, 60))
def test_prepared_batches_give_the_same_answers(many, tasks, budget, room):
    engine = PreparingEngine(budget, room)
    assert engine.annotate(many, tasks) == FakeEngine(budget).annotate(many, tasks)


def test_one_batch_is_prepared_while_another_runs():
    segments = tuple(Segment(start, start + 5, 5) for start in range(0, 20, 5))
    clip = Clip(Recording("r", "r.wav"), np.zeros(20, np.float32), FACTS, segments)

    class Waiting(PreparingEngine):
        def _run_prepared(self, batch):
            while not self.batches and [step for step, _ in self.steps].count("prepare") < 2:
                time.sleep(0.001)
            return super()._run_prepared(batch)

    engine = Waiting(budget=5)
    engine.annotate([clip], TASKS)
    assert engine.batches == [1, 1, 1, 1]
    assert [step for step, _ in engine.steps].count("prepare") == 4


def test_a_batch_that_cannot_be_prepared_is_a_machine_error():
    class Broken(FakeEngine):
        def prepare(self, batch):
            raise RuntimeError("cannot pin memory")

    clip = Clip(Recording("r", "r.wav"), np.zeros(9, np.float32), FACTS, (Segment(0, 9, 9),))
    with pytest.raises(MachineError, match="a batch of audio could not be put together: cannot pin memory"):
        Broken().annotate([clip], TASKS)


def test_another_error_of_the_device_is_a_machine_error():
    class Broken(FakeEngine):
        def infer(self, batch):
            raise RuntimeError("device-side assert triggered")

    clip = Clip(Recording("r", "r.wav"), np.zeros(9, np.float32), FACTS, (Segment(0, 9, 9),))
    with pytest.raises(MachineError, match="device-side assert"):
        Broken().annotate([clip], TASKS)


def test_labels_count_by_speech_where_there_is_any():
    def weights(*speech):
        segments = tuple(Segment(9 * index, 9 * index + 9, samples) for index, samples in enumerate(speech))
        clip = Clip(Recording("r", "r.wav"), np.zeros(9 * len(speech), np.float32), FACTS, segments)
        return [label_weight(SegmentTask(0, clip, segment, (), ())) for segment in segments]

    assert weights(0, 4, 9) == [0, 4, 9]
    assert weights(0, 0) == [9, 9]


def test_nothing_runs_without_clips_or_speech():
    assert FakeEngine().annotate([], TASKS) == []
    silent = Clip(Recording("r", "r.wav"), np.zeros(9, np.float32), FACTS, (Segment(0, 9, 0),))
    model = FakeEngine()
    (answers,) = model.annotate([silent], TASKS[:1])
    assert answers == {"transcribe": Transcript("", None, None, (), ("no_speech",))}
    assert model.ran == []
