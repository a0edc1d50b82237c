"""Whisper's output for a segment as parts of answers: text, phrases, flags and vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.decoding.greedy import Decoded
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.model.segments.text_flags import spoken_flags
from earmark.model.whisper.timestamps import split_at_timestamps
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.answers.vector import VectorPart
from earmark.schemas.tasks import Task

# A segment is silent when both hold (whisper/transcribe.py: no_speech_threshold, logprob_threshold).
NO_SPEECH_PROBABILITY = 0.6
NO_SPEECH_LOGPROB = -1.0


@dataclass(frozen=True, slots=True)
class WhisperOutput:
    """Output of the model for one segment.

    Attributes:
        language: Code of the spoken language; None where no task needs speech.
        decoded: Decoded tokens of each task that needs speech, in order; their log-probability includes the end token.
        no_speech_probability: Probability of silence; 0 where the text is too likely for it to matter.
        vector: float32 (width,), the answer of embed; None where no task is embed.
    """

    language: str | None
    decoded: tuple[Decoded, ...]
    no_speech_probability: float
    vector: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class OutputParts:
    """Makes parts of answers from outputs.

    Args:
        decode: Text of token ids.
        end_of_text: Token id of the end of text; special tokens follow it.
        first_timestamp: Token id of the timestamp 0.00.
        timestamps: Whether the output has timestamps.
    """

    decode: Callable[[Sequence[int]], str]
    end_of_text: int
    first_timestamp: int
    timestamps: bool

    def parts(self, segment_task: SegmentTask, output: WhisperOutput) -> Parts:
        """The part of each task's answer, by the task's name."""
        parts: dict[str, AnswerPart] = {
            task.name: self._spoken(segment_task, task, decoded, output)
            for task, decoded in zip(speech_tasks(segment_task), output.decoded, strict=True)
        }
        if output.vector is not None:
            vector = VectorPart(float(segment_task.length), output.vector)
            parts |= {task.name: vector for task in segment_task.tasks if not task.needs_speech}
        return parts

    def _spoken(self, segment_task: SegmentTask, task: Task, decoded: Decoded, output: WhisperOutput) -> SpokenPart:
        language = task.target_language or output.language
        avg_logprob = decoded.logprob_sum / decoded.token_count
        if output.no_speech_probability > NO_SPEECH_PROBABILITY and avg_logprob < NO_SPEECH_LOGPROB:
            return SpokenPart((), 0.0, 0, frozenset({"no_speech"}), language)
        phrases = [
            TextSegment(segment_task.time_s(start), segment_task.time_s(end), self._text(tokens), avg_logprob)
            for start, end, tokens in self._phrases(decoded.tokens, segment_task.length)
        ]
        text = " ".join(phrase.text for phrase in phrases)
        flags = spoken_flags(text, segment_task.duration_s, decoded.truncated)
        with_text = tuple(phrase for phrase in phrases if phrase.text)
        return SpokenPart(with_text, decoded.logprob_sum, decoded.token_count, flags, language)

    def _phrases(self, tokens: Sequence[int], length: int) -> list[tuple[int, int, Sequence[int]]]:
        """As split_at_timestamps; without --timestamps, a timestamp in the output does not split a word in two."""
        if self.timestamps:
            return split_at_timestamps(tokens, self.first_timestamp, length)
        return [(0, length, tokens)]

    def _text(self, tokens: Sequence[int]) -> str:
        return self.decode([token for token in tokens if token < self.end_of_text]).strip()


def speech_tasks(segment_task: SegmentTask) -> tuple[Task, ...]:
    """The tasks of a segment that need speech: transcripts and translations."""
    return tuple(task for task in segment_task.tasks if task.needs_speech)
