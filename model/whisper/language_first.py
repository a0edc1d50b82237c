"""The loop over segments for Whisper, which detects a recording's language on its first segment with speech."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from earmark.model.segments.batching import plan_batches
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.model.whisper.output_parts import OutputParts, WhisperOutput, speech_tasks
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.spoken import SpokenPart
from earmark.schemas.records import Recording
from earmark.schemas.tasks import Task


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A segment that the model takes as one window.

    Attributes:
        language: Code of its language; None to detect it, and where no task needs speech.
    """

    segment_task: SegmentTask
    language: str | None

    @property
    def samples(self) -> np.ndarray:
        return self.segment_task.samples


@dataclass(eq=False)
class LanguageFirst(SegmentEngine):
    """One call of `annotate`: it holds the languages that were detected in its recordings.

    Args:
        generate: Output of the model for each window of a batch; all have the same tasks.
        known_language: Language of a recording before the model runs; None to detect it.
        output_parts: Makes parts of answers from outputs.
        window_samples: Length to which every segment is padded.
        budget_samples: Longest batch, padding included.
    """

    generate: Callable[[Sequence[Window]], Sequence[WhisperOutput]]
    known_language: Callable[[Recording], str | None]
    output_parts: OutputParts
    window_samples: int
    budget_samples: int
    _detected: dict[int, str] = field(default_factory=dict, init=False)

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """As SegmentEngine.prompts; Whisper takes none, but lacks some languages."""
        self.known_language(recording)
        return super().prompts(recording, tasks)

    def empty_part(self, recording: Recording, task: Task) -> AnswerPart | None:
        """As SegmentEngine.empty_part: the language."""
        language = task.target_language or self.known_language(recording)
        return SpokenPart((), 0.0, 0, frozenset(), language) if task.needs_speech else None

    def order(self, segment_tasks: Sequence[SegmentTask]) -> list[list[SegmentTask]]:
        """As SegmentEngine.order; segments whose language is to be detected follow the first one of their recording."""
        first, following = list[SegmentTask](), list[SegmentTask]()
        detecting: set[int] = set()
        for segment_task in segment_tasks:
            if not speech_tasks(segment_task) or self.known_language(segment_task.clip.recording):
                first.append(segment_task)
            elif segment_task.index in detecting:
                following.append(segment_task)
            else:
                detecting.add(segment_task.index)
                first.append(segment_task)
        return [first, following]

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches; segments of similar length share a batch, as their texts end together."""
        longest_first = sorted(range(len(segment_tasks)), key=lambda index: -segment_tasks[index].length)
        with_speech = [index for index in longest_first if speech_tasks(segment_tasks[index])]
        without_speech = [index for index in longest_first if not speech_tasks(segment_tasks[index])]
        return [
            [indices[position] for position in batch]
            for indices in (with_speech, without_speech)
            for batch in plan_batches([self.window_samples] * len(indices), self.budget_samples)
        ]

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        outputs = self.generate([Window(segment_task, self._language(segment_task)) for segment_task in batch])
        for segment_task, output in zip(batch, outputs, strict=True):
            if output.language:
                self._detected.setdefault(segment_task.index, output.language)
        return [
            self.output_parts.parts(segment_task, output) for segment_task, output in zip(batch, outputs, strict=True)
        ]

    def _language(self, segment_task: SegmentTask) -> str | None:
        if not speech_tasks(segment_task):
            return None
        return self.known_language(segment_task.clip.recording) or self._detected.get(segment_task.index)
