"""Qwen2-Audio, base and Instruct: every task about a recording from one pass over its audio.

Segments of all recordings of a shard are batched together. Greedy, with masked padding: an answer does not depend on
its neighbours, and is that of transformers' `generate` for the clip and the prompt alone.
"""

import dataclasses
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.kv_cache import GROWTH_SLOTS
from earmark.model.decoding.prefix_decoder import LabelLogprobs
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.qwen2_audio.check import check_qwen2_audio_job
from earmark.model.qwen2_audio.encoder import SAMPLES_PER_TOKEN
from earmark.model.qwen2_audio.network import AudioGroup, load_models, load_prompts
from earmark.model.runtime.replicas import ReplicaPool
from earmark.model.segments.batching import plan_batches, run_with_oom_split
from earmark.model.segments.text_flags import answer_flags
from earmark.schemas.answers.kind import Answer
from earmark.schemas.answers.label import LabelAnswer, LabelPart, join_labels
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.answers.text import join_text
from earmark.schemas.answers.transcript import join_transcript
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip, Segment
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")
_Results: TypeAlias = list[Decoded | LabelLogprobs | None] | RowError  # of one segment, by task


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One segment of a clip, and what is asked about it."""

    clip: int
    segment: Segment
    samples: np.ndarray
    questions: tuple[PromptBranch, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked about a clip: for each task its prompt as text, and the question."""

    prompts: tuple[str, ...]
    questions: tuple[PromptBranch, ...]


class Qwen2Audio:
    """Answers any task; safe to call from several threads, whose batches share out the copies of the model.

    Raises:
        JobError: a device is asked for that is not there, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        models = load_models(folder, options)
        self._prompts = load_prompts(folder)
        kind = "an Instruct checkpoint, in turns" if self._prompts.chat else "a base checkpoint"
        log.info("Qwen2-Audio is asked as %s", kind)
        self._stack = models[0].stack
        self._models = ReplicaPool(models)

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """An answer to every task for each clip; segments in which nobody speaks have no transcript."""
        asked = [self._ask(clip, tasks) for clip in clips]
        pieces = [
            _Piece(index, segment, clip.samples[segment.start : segment.end], questions)
            for index, (clip, of_clip) in enumerate(zip(clips, asked, strict=True))
            if isinstance(of_clip, _Asked)
            for segment in clip.require_segments()
            for questions in [_of_segment(of_clip, segment, tasks)]
            if any(question.tokens for question in questions)
        ]
        found: list[list[tuple[_Piece, _Results]]] = [[] for _ in clips]
        for piece, results in self._run(pieces):
            found[piece.clip].append((piece, results))
        return [
            of_clip if isinstance(of_clip, RowError) else self._answer(clip, tasks, of_clip, results)
            for clip, of_clip, results in zip(clips, asked, found, strict=True)
        ]

    def _ask(self, clip: Clip, tasks: Sequence[Task]) -> _Asked | RowError:
        try:
            pairs = [self._prompts.ask(task, clip.recording, self._options.language) for task in tasks]
        except RowError as error:
            return error
        return _Asked(tuple(prompt for prompt, _ in pairs), tuple(question for _, question in pairs))

    def _run(self, pieces: Sequence[_Piece]) -> Iterator[tuple[_Piece, _Results]]:
        """Every piece with its results. While one batch is answered, the next one's audio is put together."""
        plan = plan_batches([_weight(piece) for piece in pieces], int(self._options.batch_s * SAMPLE_RATE_HZ))
        batches = [sorted((pieces[index] for index in batch), key=lambda piece: -len(piece.samples)) for batch in plan]
        with ThreadPoolExecutor(1, "earmark-stack") as stacker:
            stacked = deque(stacker.submit(self._stacked, batch) for batch in batches[:1])
            for index, batch in enumerate(batches):
                try:
                    groups = stacked.popleft().result()
                except (MemoryError, RuntimeError) as error:  # pinning memory raises the latter
                    raise MachineError(f"a batch of audio could not be put together: {error}") from error
                if index + 1 < len(batches):
                    stacked.append(stacker.submit(self._stacked, batches[index + 1]))
                yield from zip(
                    batch, run_with_oom_split(batch, partial(self._answer_batch, batch, groups)), strict=True
                )

    def _stacked(self, pieces: Sequence[_Piece]) -> list[AudioGroup]:
        groups = self._stack([piece.samples for piece in pieces])
        heard_s = sum(len(piece.samples) for piece in pieces) / SAMPLE_RATE_HZ
        padded_s = sum(group.padded_s for group in groups)
        log.debug("%d segments, %.2f s of audio, %.2f s with padding", len(pieces), heard_s, padded_s)
        return groups

    def _answer_batch(
        self, batch: Sequence[_Piece], groups: Sequence[AudioGroup], part: Sequence[_Piece]
    ) -> list[list[Decoded | LabelLogprobs | None]]:
        """Results of `part`, which is `batch`, whose audio `groups` is, or a piece of it."""
        if len(part) < len(batch):
            groups = self._stacked(part)
        with self._models.acquire() as model:
            return model.answer(self._prompts.head, groups, [piece.questions for piece in part])

    def _answer(
        self, clip: Clip, tasks: Sequence[Task], asked: _Asked, found: Sequence[tuple[_Piece, _Results]]
    ) -> Answers | RowError:
        """One answer a task from the results of the clip's segments."""
        results: list[tuple[Segment, list[Decoded | LabelLogprobs | None]]] = []
        for piece, result in found:
            if isinstance(result, RowError):
                return result
            results.append((piece.segment, result))
        results.sort(key=lambda result: result[0].start)
        answers: dict[str, Answer] = {}
        for column, (task, prompt) in enumerate(zip(tasks, asked.prompts, strict=True)):
            of_task = [(segment, result[column]) for segment, result in results]
            if task.answer == "label":
                answers[task.name] = self._labels(task, asked.questions[column], of_task)
                continue
            said = [(segment, one) for segment, one in of_task if isinstance(one, Decoded)]
            parts = [self._part(clip, task, segment, one) for segment, one in said]
            if task.answer == "text":
                answers[task.name] = join_text(parts, prompt)
            else:
                answers[task.name] = join_transcript(parts, self._language(clip, task, [one for _, one in said]))
        return answers

    def _language(self, clip: Clip, task: Task, said: Sequence[Decoded]) -> str | None:
        """The language of a transcript: what was asked for, what the row says, or what the model says it hears."""
        known = task.target_language or self._prompts.language(clip.recording.language or self._options.language)
        return known or next(filter(None, (self._prompts.detected_language(one.tokens) for one in said)), None)

    def _part(self, clip: Clip, task: Task, segment: Segment, said: Decoded) -> SpokenPart:
        text = self._prompts.text(said.tokens)
        flags = answer_flags(task, text, (segment.end - segment.start) / SAMPLE_RATE_HZ, said.truncated)
        offset_s = clip.recording.offset_s
        start_s, end_s = (offset_s + position / SAMPLE_RATE_HZ for position in (segment.start, segment.end))
        avg_logprob = said.logprob_sum / said.token_count
        pieces = (TextSegment(start_s, end_s, text, avg_logprob),) if text else ()
        return SpokenPart(pieces, said.logprob_sum, said.token_count, flags)

    def _labels(
        self, task: Task, question: PromptBranch, found: Sequence[tuple[Segment, Decoded | LabelLogprobs | None]]
    ) -> LabelAnswer:
        lengths = tuple(len(label) for label in question.labels)
        silent = not any(segment.speech for segment, _ in found)
        parts = [
            LabelPart(float(segment.end - segment.start if silent else segment.speech), one.logprobs, lengths)
            for segment, one in found
            if isinstance(one, LabelLogprobs)
        ]
        return join_labels(task.labels, parts)


check_job = check_qwen2_audio_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Qwen2Audio:
    """As EngineModule.open_engine."""
    return Qwen2Audio(checkpoint.folder, options)


def _weight(piece: _Piece) -> int:
    """Samples of audio that take as much of the model's memory as a piece with its questions and answers."""
    asked = sum(len(question.tokens) + sum(map(len, question.labels)) for question in piece.questions)
    return len(piece.samples) + (asked + GROWTH_SLOTS) * SAMPLES_PER_TOKEN


def _of_segment(asked: _Asked, segment: Segment, tasks: Sequence[Task]) -> tuple[PromptBranch, ...]:
    """The questions of one segment: nothing is asked that needs speech where there is none."""
    return tuple(
        dataclasses.replace(question, tokens=()) if task.needs_speech and not segment.speech else question
        for task, question in zip(tasks, asked.questions, strict=True)
    )
