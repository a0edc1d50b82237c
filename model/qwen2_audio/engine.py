"""Qwen2-Audio, base and Instruct: every task about a recording from one pass over its audio.

Segments of all recordings of a shard are batched together. Greedy, with masked padding: an answer does not depend on
its neighbours, and is that of transformers' `generate` for the clip and the prompt alone.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.decoding.kv_cache import GROWTH_SLOTS
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.decoding.prompted_engine import TOKEN_SAMPLES, PromptedEngine
from earmark.model.qwen2_audio.check import check_qwen2_audio_job
from earmark.model.qwen2_audio.network import AudioGroup, load_models, load_prompts
from earmark.model.runtime.replicas import ReplicaPool
from earmark.model.segments.batching import plan_batches
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.spoken import SpokenPart
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")


class Qwen2Audio(PromptedEngine):
    """Answers any task with a text prompt; safe to call from several threads, whose batches share the replicas.

    Raises:
        JobError: A device is not available, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        models = load_models(folder, options)
        self._prompts = load_prompts(folder)
        kind = "an Instruct checkpoint, with a chat template" if self._prompts.chat else "a base checkpoint"
        log.info("Qwen2-Audio is prompted as %s", kind)
        self._stack = models[0].stack
        self._models = ReplicaPool(models)

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """As SegmentEngine.prompts."""
        return tuple(self._prompts.prompt(task, recording, self._options.language) for task in tasks)

    def empty_part(self, recording: Recording, task: Task) -> AnswerPart | None:
        """As SegmentEngine.empty_part: the language."""
        return SpokenPart((), 0.0, 0, frozenset(), self._language(recording, task)) if task.needs_speech else None

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches; each batch has its longest segments first, as `stack` needs them."""
        weights = [self._weight(segment_task) for segment_task in segment_tasks]
        plan = plan_batches(weights, int(self._options.batch_s * SAMPLE_RATE_HZ))
        return [sorted(batch, key=lambda index: -segment_tasks[index].length) for batch in plan]

    def prepare(self, batch: Sequence[SegmentTask]) -> Callable[[], list[Parts]]:
        """As SegmentEngine.prepare; stacks the audio, in pinned memory for a GPU."""
        groups = self._stack([segment_task.samples for segment_task in batch])
        audio_s = sum(segment_task.duration_s for segment_task in batch)
        padded_s = sum(group.padded_s for group in groups)
        log.debug("%d segments, %.2f s of audio, %.2f s with padding", len(batch), audio_s, padded_s)
        return partial(self._answer, batch, groups)

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        return self.prepare(batch)()

    def branch(self, segment_task: SegmentTask, task: Task, prompt: str) -> PromptBranch:
        """As PromptedEngine.branch."""
        return self._prompts.branch(task, prompt)

    def parse(self, segment_task: SegmentTask, task: Task, tokens: tuple[int, ...]) -> tuple[str, str | None]:
        """As PromptedEngine.parse; a base checkpoint that detects the language begins a transcript with its tag."""
        text = self._prompts.text(tokens)
        if not task.needs_speech:
            return text, None
        named = self._language(segment_task.clip.recording, task)
        return text, named or self._prompts.detected_language(tokens)

    def _language(self, recording: Recording, task: Task) -> str | None:
        """Language of a transcript that the task, the row or the job names."""
        return task.target_language or self._prompts.language(recording.language or self._options.language)

    def _answer(self, batch: Sequence[SegmentTask], groups: Sequence[AudioGroup]) -> list[Parts]:
        rows = self.branch_rows(batch)
        with self._models.acquire() as model:
            results = model.answer(self._prompts.prefix_ids, groups, rows)
        return self.parts(batch, rows, results)

    def _weight(self, segment_task: SegmentTask) -> int:
        """Samples of audio that take as much memory as a segment with its prompts, labels and answers."""
        branches = [self._prompts.branch(*pair) for pair in zip(segment_task.tasks, segment_task.prompts, strict=True)]
        tokens = sum(len(branch.tokens) + sum(map(len, branch.labels)) for branch in branches)
        return segment_task.length + (tokens + GROWTH_SLOTS) * TOKEN_SAMPLES


check_job = check_qwen2_audio_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Qwen2Audio:
    """As EngineModule.open_engine."""
    return Qwen2Audio(checkpoint.folder, options)
