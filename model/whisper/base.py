"""What every Whisper does with recordings, whatever runs it: languages, prompts, timestamps, answers.

Every segment is padded to the 30 s that Whisper was trained on, so an answer cannot depend on its neighbours.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from earmark.model.decoding.greedy import Decoded
from earmark.model.segments.batching import plan_batches, run_with_oom_split
from earmark.model.segments.segment_engine import SegmentTask
from earmark.model.segments.text_flags import spoken_flags
from earmark.model.whisper.languages import ENGLISH_ONLY, spoken_language
from earmark.schemas.answers.kind import Answer
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.answers.transcript import join_transcript
from earmark.schemas.answers.vector import VectorPart, join_vectors
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip
from earmark.schemas.tasks import Task

WINDOW_S = 30  # Whisper hears this much at a time
TIMESTAMP_SAMPLES = SAMPLE_RATE_HZ // 50  # a timestamp token counts 20 ms
# A segment is silent when both hold (whisper/transcribe.py: no_speech_threshold, logprob_threshold).
NO_SPEECH_PROBABILITY = 0.6
NO_SPEECH_LOGPROB = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A segment with the tasks that are asked about it, and its language: None where it is to be detected.

    Only vectors are asked of a segment in which nobody speaks; it has no language, and none is looked for.
    """

    piece: SegmentTask
    language: str | None


@dataclass(frozen=True, slots=True)
class WhisperOutput:
    """What the model wrote about one segment.

    Attributes:
        language: that is spoken; None where nothing was asked that needs speech.
        said: for each task of the piece that needs speech, in order; its log-probability is of the end token, too.
        no_speech_probability: that nobody speaks; 0 where it was not asked for, as the text is likely.
        vector: float32 (width,), the answer of embed; None where it was not asked.
    """

    language: str | None
    said: tuple[Decoded, ...]
    no_speech_probability: float
    vector: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What is made of one segment: the language that is spoken, and a part of each task's answer by its name."""

    language: str | None
    parts: Mapping[str, SpokenPart | VectorPart]


class WhisperEngine(ABC):
    """Transcribes, and translates into English; what runs the model brings `_listen`.

    Args:
        tokenizer: the checkpoint's.
        decode: from tokens of text to text.
        languages: codes of those that the checkpoint knows.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        decode: Callable[[Sequence[int]], str],
        languages: frozenset[str],
        options: JobOptions,
    ):
        self._tokenizer = tokenizer
        self._decode = decode
        self._languages = languages
        self._options = options
        self._end_of_text = self._token("<|endoftext|>")
        self._first_timestamp = self._token("<|notimestamps|>") + 1

    @abstractmethod
    def _listen(self, windows: Sequence[Window]) -> Sequence[WhisperOutput]:
        """What the model writes about each of a batch; all have the same tasks, and their audio is encoded once."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """An answer a task for each clip; segments without speech are shown to the model for vectors only."""
        languages: list[str | RowError | None] = [self._language(clip.recording.language) for clip in clips]
        heard: dict[tuple[int, int], SegmentResult | RowError] = {}
        waiting = [
            SegmentTask(index, clip, segment, asked, ("",) * len(asked))
            for index, clip in enumerate(clips)
            for segment in clip.require_segments()
            for asked in [tuple(task for task in tasks if segment.speech or not task.needs_speech)]
            if asked
        ]
        while waiting:  # a recording's language is that of its first segment, so its others wait for it
            ready, later, started = list[Window](), list[SegmentTask](), set[int]()
            for piece in waiting:
                language = languages[piece.index]
                if isinstance(language, RowError):
                    continue
                if not spoken_tasks(piece):
                    ready.append(Window(piece, None))
                elif language is None and piece.index in started:
                    later.append(piece)
                else:
                    started.add(piece.index)
                    ready.append(Window(piece, language))
            for window, result in self._run(ready):
                index = window.piece.index
                heard[index, window.piece.segment.start] = result
                if languages[index] is None:
                    languages[index] = result if isinstance(result, RowError) else result.language
            waiting = later
        return [
            language if isinstance(language, RowError) else self._answer(index, clip, tasks, heard, language)
            for index, (clip, language) in enumerate(zip(clips, languages, strict=True))
        ]

    def _run(self, windows: Sequence[Window]) -> Iterable[tuple[Window, SegmentResult | RowError]]:
        """Every window with its result; those of like length share a batch, because they say about as much."""
        by_length = sorted(windows, key=lambda window: -len(window.piece.samples))
        samples = WINDOW_S * SAMPLE_RATE_HZ
        spoken = [window for window in by_length if spoken_tasks(window.piece)]
        silent = [window for window in by_length if not spoken_tasks(window.piece)]
        for alike in (spoken, silent):
            for batch in plan_batches([samples] * len(alike), int(self._options.batch_s * SAMPLE_RATE_HZ)):
                members = [alike[index] for index in batch]
                yield from zip(members, run_with_oom_split(members, self._transcribe), strict=True)

    def _transcribe(self, windows: Sequence[Window]) -> list[SegmentResult]:
        return [self._hear(window.piece, one) for window, one in zip(windows, self._listen(windows), strict=True)]

    def _hear(self, piece: SegmentTask, written: WhisperOutput) -> SegmentResult:
        parts: dict[str, SpokenPart | VectorPart] = {
            task.name: self._part(piece, said, written.no_speech_probability)
            for task, said in zip(spoken_tasks(piece), written.said, strict=True)
        }
        if written.vector is not None:
            vector = VectorPart(float(len(piece.samples)), written.vector)
            parts |= {task.name: vector for task in piece.tasks if not task.needs_speech}
        return SegmentResult(written.language, parts)

    def _part(self, piece: SegmentTask, said: Decoded, no_speech_probability: float) -> SpokenPart:
        avg_logprob = said.logprob_sum / said.token_count
        if no_speech_probability > NO_SPEECH_PROBABILITY and avg_logprob < NO_SPEECH_LOGPROB:
            return SpokenPart((), 0.0, 0, frozenset({"no_speech"}))
        phrases = tuple(
            TextSegment(piece.time_s(start), piece.time_s(end), self._text(words), avg_logprob)
            for start, end, words in self._split(said.tokens, len(piece.samples))
        )
        text = " ".join(phrase.text for phrase in phrases)
        flags = spoken_flags(text, piece.duration_s, said.truncated)
        phrases = tuple(phrase for phrase in phrases if phrase.text)
        return SpokenPart(phrases, said.logprob_sum, said.token_count, flags)

    def _split(self, tokens: Sequence[int], length: int) -> list[tuple[int, int, Sequence[int]]]:
        """As split_at_timestamps; a timestamp that nobody has asked for is no place to cut a word in two."""
        if self._options.timestamps:
            return split_at_timestamps(tokens, self._first_timestamp, length)
        return [(0, length, tokens)]

    def _answer(
        self,
        index: int,
        clip: Clip,
        tasks: Sequence[Task],
        heard: Mapping[tuple[int, int], SegmentResult | RowError],
        language: str | None,
    ) -> Answers | RowError:
        found: list[SegmentResult] = []
        for segment in clip.require_segments():
            result = heard.get((index, segment.start))
            if isinstance(result, RowError):
                return result
            if result is not None:
                found.append(result)
        answers: dict[str, Answer] = {}
        for task in tasks:
            parts = [one.parts[task.name] for one in found if task.name in one.parts]
            if task.needs_speech:
                spoken = [part for part in parts if isinstance(part, SpokenPart)]
                answers[task.name] = join_transcript(spoken, task.target_language or language)
            else:
                answers[task.name] = join_vectors([part for part in parts if isinstance(part, VectorPart)])
        return answers

    def _language(self, of_row: str | None) -> str | RowError | None:
        """The language that is spoken; None where the model is to detect it."""
        wanted = of_row or self._options.language
        try:
            if wanted:
                return spoken_language(wanted, self._languages)
        except RowError as error:
            return error
        return "en" if self._languages == ENGLISH_ONLY else None

    def _prompt(self, language: str, task: Task) -> list[int]:
        prompt = [self._token("<|startoftranscript|>")]
        if self._languages != ENGLISH_ONLY:
            prompt.append(self._token(f"<|{language}|>"))
            prompt.append(self._token("<|translate|>" if task.target_language else "<|transcribe|>"))
        return prompt if self._options.timestamps else [*prompt, self._first_timestamp - 1]

    def _text(self, tokens: Sequence[int]) -> str:
        return self._decode([token for token in tokens if token < self._end_of_text]).strip()

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        if token is None:
            raise JobError(f"the model's tokenizer knows no {text}; it is not Whisper's")
        return int(token)


def spoken_tasks(piece: SegmentTask) -> tuple[Task, ...]:
    """Of what is asked about a piece, that which is answered in words."""
    return tuple(task for task in piece.tasks if task.needs_speech)


def split_at_timestamps(
    tokens: Sequence[int], first_timestamp: int, length: int
) -> list[tuple[int, int, Sequence[int]]]:
    """Phrases as (start, end, tokens), in samples of a segment of `length` samples, end never beyond it.

    Whisper writes a phrase between two timestamps; a phrase whose end is missing ends with the segment, and text
    without any timestamp is one phrase.
    """
    phrases: list[tuple[int, int, Sequence[int]]] = []
    start, words = 0, list[int]()
    for token in tokens:
        if token < first_timestamp:
            words.append(token)
            continue
        moment = min((token - first_timestamp) * TIMESTAMP_SAMPLES, length)
        if words:
            phrases.append((start, max(moment, start), words))
        start, words = moment, []
    return [*phrases, (start, length, words)] if words else phrases
