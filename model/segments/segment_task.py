"""A segment of a clip with the tasks to answer about it, and the parts of answers that span it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip, Segment
from earmark.schemas.tasks import Task

Parts: TypeAlias = Mapping[str, AnswerPart]  # by the names of a segment's tasks


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTask:
    """One segment of a clip with the tasks to answer about it.

    Attributes:
        index: Index of the clip in the call of `annotate`.
        tasks: Tasks to answer; without those that need speech where the segment has none.
        prompts: Text prompt of each task, "" for a model that takes none.
    """

    index: int
    clip: Clip
    segment: Segment
    tasks: tuple[Task, ...]
    prompts: tuple[str, ...]

    @property
    def length(self) -> int:
        """Number of samples."""
        return self.segment.end - self.segment.start

    @property
    def samples(self) -> np.ndarray:
        """float32 mono at SAMPLE_RATE_HZ."""
        return self.clip.samples[self.segment.start : self.segment.end]

    @property
    def duration_s(self) -> float:
        return self.length / SAMPLE_RATE_HZ

    def time_s(self, sample: float) -> float:
        """Time in the file at `uri` of a sample of the segment."""
        return self.clip.recording.offset_s + (self.segment.start + sample) / SAMPLE_RATE_HZ


def label_weight(segment_task: SegmentTask) -> float:
    """Weight of a segment in a label: its samples of speech, or all samples if the clip has no speech."""
    if any(segment.speech for segment in segment_task.clip.require_segments()):
        return float(segment_task.segment.speech)
    return float(segment_task.length)


def spoken_part(
    segment_task: SegmentTask,
    text: str,
    flags: frozenset[str],
    logprob_sum: float = 0.0,
    tokens: int = 0,
    language: str | None = None,
) -> SpokenPart:
    """The text of a whole segment as one phrase; the arguments are as in SpokenPart."""
    avg_logprob = logprob_sum / tokens if tokens else None
    start_s, end_s = segment_task.time_s(0), segment_task.time_s(segment_task.length)
    segments = (TextSegment(start_s, end_s, text, avg_logprob),) if text else ()
    return SpokenPart(segments, logprob_sum, tokens, flags, language)
