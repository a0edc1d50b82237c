"""Engines that hear one segment at a time: from clips to pieces, in batches, and back to one answer a recording.

What an engine of this kind brings is a SegmentModel; `annotate_by_segment` is the rest of its `annotate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from earmark.model.segments.batching import run_with_oom_split
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip, Recording, Segment
from earmark.schemas.tasks import Task

Parts: TypeAlias = Mapping[str, AnswerPart]  # by the names of a piece's tasks


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTask:
    """One segment of a clip, and what is asked about it.

    Attributes:
        index: of the clip among those that are asked about together.
        tasks: nothing that needs speech, where there is none.
        prompts: what SegmentModel.prompts said of these tasks.
    """

    index: int
    clip: Clip
    segment: Segment
    tasks: tuple[Task, ...]
    prompts: tuple[str, ...]

    @property
    def samples(self) -> np.ndarray:
        """float32 mono at SAMPLE_RATE_HZ."""
        return self.clip.samples[self.segment.start : self.segment.end]

    @property
    def duration_s(self) -> float:
        return (self.segment.end - self.segment.start) / SAMPLE_RATE_HZ

    def time_s(self, sample: float) -> float:
        """The moment in the file at `uri` of a sample of the piece."""
        return self.clip.recording.offset_s + (self.segment.start + sample) / SAMPLE_RATE_HZ


class SegmentModel(Protocol):
    """A model that hears pieces of at most 30 s."""

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """The text that each task is asked with, "" where a model is not asked in words.

        Raises:
            RowError: this recording cannot be asked about: a language that the model does not know, no prompt.
        """
        ...

    def plan_batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Batches of indices of `lengths`, which are samples of pieces."""
        ...

    def infer(self, pieces: Sequence[SegmentTask]) -> Sequence[Parts | RowError]:
        """The part of an answer to each task of each piece, or why there is none.

        What runs out of memory is tried again in halves.
        """
        ...


def annotate_by_segment(model: SegmentModel, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
    """What Engine.annotate gives; segments in which nobody speaks are not heard for tasks that need speech."""
    asked = [_ask(model, clip.recording, tasks) for clip in clips]
    pieces = [
        piece
        for index, (clip, prompts) in enumerate(zip(clips, asked, strict=True))
        if not isinstance(prompts, RowError)
        for segment in clip.require_segments()
        for piece in [_piece(index, clip, segment, tasks, prompts)]
        if piece.tasks
    ]
    found: list[list[tuple[Segment, Parts | RowError]]] = [[] for _ in clips]
    for batch in model.plan_batches([len(piece.samples) for piece in pieces]):
        members = [pieces[index] for index in batch]
        for piece, parts in zip(members, run_with_oom_split(members, model.infer), strict=True):
            found[piece.index].append((piece.segment, parts))
    return [
        prompts if isinstance(prompts, RowError) else _answers(tasks, prompts, parts)
        for prompts, parts in zip(asked, found, strict=True)
    ]


def _ask(model: SegmentModel, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...] | RowError:
    try:
        return model.prompts(recording, tasks)
    except RowError as error:
        return error


def _piece(index: int, clip: Clip, segment: Segment, tasks: Sequence[Task], prompts: Sequence[str]) -> SegmentTask:
    pairs = [
        (task, prompt) for task, prompt in zip(tasks, prompts, strict=True) if segment.speech or not task.needs_speech
    ]
    return SegmentTask(index, clip, segment, tuple(task for task, _ in pairs), tuple(prompt for _, prompt in pairs))


def _answers(
    tasks: Sequence[Task], prompts: Sequence[str], found: Sequence[tuple[Segment, Parts | RowError]]
) -> Answers | RowError:
    heard: list[tuple[Segment, Parts]] = []
    for segment, parts in sorted(found, key=lambda one: one[0].start):
        if isinstance(parts, RowError):
            return parts
        heard.append((segment, parts))
    return {
        task.name: task.answer_kind.join([parts[task.name] for _, parts in heard if task.name in parts], task, prompt)
        for task, prompt in zip(tasks, prompts, strict=True)
    }


def label_weight(piece: SegmentTask) -> float:
    """How much a piece counts for a label: its speech, or all of it where nobody speaks in the whole clip."""
    if any(segment.speech for segment in piece.clip.require_segments()):
        return float(piece.segment.speech)
    return float(piece.segment.end - piece.segment.start)
