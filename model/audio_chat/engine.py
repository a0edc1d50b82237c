"""Audio language models of transformers with a chat format (Voxtral, Audio Flamingo 3, Qwen2.5-Omni, Qwen3-ASR, …).

All tasks about a segment are answered from one prefill of its audio (model/decoding/prefix_decoder.py). Each answer
equals that of transformers' `generate` for the clip and the prompt alone.
"""

from collections.abc import Sequence

import numpy as np

from earmark.model.audio_chat.chat_format import MIN_SAMPLES, AudioInputs
from earmark.model.audio_chat.check import check_audio_chat_job, load_chat_processor
from earmark.model.audio_chat.network import load_models
from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.decoding.kv_cache import GROWTH_SLOTS
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.decoding.prompted_engine import TOKEN_SAMPLES, PromptedEngine
from earmark.model.runtime.replicas import ReplicaPool
from earmark.model.segments.batching import cut_alike, plan_batches
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.schemas.tasks import Task

MAX_PADDING = 1.05  # ratio of padded to real audio in a group that is prefilled together
GROUP_SEGMENTS = 8  # an encoder that pads to 30 s takes as much memory for 1 s


class AudioChat(PromptedEngine):
    """The engine of a chat model; safe to call from several threads, which share the replicas.

    Raises:
        JobError: The requested device is missing, or the checkpoint cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        processor = load_chat_processor(folder, options.language)
        self._chat, self._prompts = processor.chat, processor.prompts
        self._budget = int(options.batch_s * SAMPLE_RATE_HZ)
        self._replicas = ReplicaPool(load_models(folder, processor.chat, processor.eos_ids, options))

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """As SegmentEngine.prompts."""
        return self._prompts.prompts(recording, tasks)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches; counts the slots of new tokens as audio."""
        min_length = self._chat.min_tokens * TOKEN_SAMPLES
        weights = [max(segment_task.length, min_length) for segment_task in segment_tasks]
        return plan_batches([weight + GROWTH_SLOTS * TOKEN_SAMPLES for weight in weights], self._budget)

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        order = sorted(range(len(batch)), key=lambda index: -batch[index].length)
        longest_first = [batch[index] for index in order]
        audio = [self._chat.prepare_audio(_padded_to_minimum(item.samples)) for item in longest_first]
        rows = self.branch_rows(longest_first)
        with self._replicas.acquire() as model:
            results = model.answer(self._prompts.prefix_ids, _groups(audio), rows)
        parts: list[Parts] = [{}] * len(batch)
        for index, of_segment in zip(order, self.parts(longest_first, rows, results), strict=True):
            parts[index] = of_segment
        return parts

    def branch(self, segment_task: SegmentTask, task: Task, prompt: str) -> PromptBranch:
        """As PromptedEngine.branch."""
        return self._prompts.branch(segment_task.clip.recording, task, prompt)

    def parse(self, segment_task: SegmentTask, task: Task, tokens: tuple[int, ...]) -> tuple[str, str | None]:
        """As PromptedEngine.parse; a language that the task, the row or the job names takes precedence."""
        answer = self._chat.parse(task, tokens)
        if not task.needs_speech:
            return answer.text, None
        named = task.target_language or self._prompts.language(segment_task.clip.recording)
        return answer.text, named or answer.language


check_job = check_audio_chat_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> AudioChat:
    """As EngineModule.open_engine."""
    return AudioChat(checkpoint.folder, options)


def _padded_to_minimum(samples: np.ndarray) -> np.ndarray:
    return np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))


def _groups(audio: Sequence[AudioInputs]) -> list[list[AudioInputs]]:
    """Cut a batch, longest first, into groups of similar length and at most GROUP_SEGMENTS segments."""
    runs = cut_alike([inputs.tokens for inputs in audio], MAX_PADDING)
    parts = [run[start : start + GROUP_SEGMENTS] for run in runs for start in range(0, len(run), GROUP_SEGMENTS)]
    return [[audio[index] for index in part] for part in parts]
