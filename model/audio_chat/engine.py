"""Audio language models of transformers that take turns (Voxtral, Audio Flamingo 3, Qwen2.5-Omni, Qwen3-ASR, …).

Every task about a segment is answered from one pass over its audio (model/decoding/prefix_decoder.py), with the
model's own encoder. An answer is that of transformers' `generate` for the clip and the prompt alone.
"""

import logging
from collections.abc import Sequence

import numpy as np

from earmark.model.audio_chat.chat_format import SHORTEST_SAMPLES, AudioInputs
from earmark.model.audio_chat.check import check_audio_chat_job, open_chat
from earmark.model.audio_chat.network import load_models
from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.decoding.kv_cache import GROWTH_SLOTS
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.decoding.prompted_engine import PromptedEngine
from earmark.model.runtime.replicas import ReplicaPool
from earmark.model.segments.batching import cut_alike, plan_batches
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")
MAX_PADDING = 1.05  # padded over real audio of what the language model takes in at once
ENCODED_TOGETHER = 8  # an encoder that pads to 30 s takes as much memory for 1 s
SAMPLES_PER_TOKEN = 640  # 40 ms, what a token counts in --batch_s


class AudioChat(PromptedEngine):
    """Answers what its checkpoint was made for; safe to call from several threads, which share out the copies.

    Raises:
        JobError: a device is asked for that is not there, or the checkpoint cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        opened = open_chat(folder, options.language)
        self._chat, self._questions = opened.chat, opened.questions
        self._budget = int(options.batch_s * SAMPLE_RATE_HZ)
        self._models = ReplicaPool(load_models(folder, opened.chat, opened.stops, options))

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        return self._questions.prompts(recording, tasks)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        least = self._chat.least_tokens * SAMPLES_PER_TOKEN
        weights = [max(segment_task.length, least) for segment_task in segment_tasks]
        return plan_batches([weight + GROWTH_SLOTS * SAMPLES_PER_TOKEN for weight in weights], self._budget)

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        order = sorted(range(len(batch)), key=lambda index: -batch[index].length)
        longest_first = [batch[index] for index in order]
        audio = [self._chat.prefill(_long_enough(segment_task.samples)) for segment_task in longest_first]
        rows = self.branch_rows(longest_first)
        with self._models.acquire() as model:
            results = model.answer(self._questions.head, _groups(audio), rows)
        parts: list[Parts] = [{}] * len(batch)
        for index, of_segment in zip(order, self.parts(longest_first, rows, results), strict=True):
            parts[index] = of_segment
        return parts

    def branch(self, segment_task: SegmentTask, task: Task, prompt: str) -> PromptBranch:
        """As PromptedEngine.branch."""
        return self._questions.question(segment_task.clip.recording, task, prompt)

    def parse(self, segment_task: SegmentTask, task: Task, tokens: tuple[int, ...]) -> tuple[str, str | None]:
        """As PromptedEngine.parse; a language that the task, the row or the job names goes before the model's."""
        answer = self._chat.read(task, tokens)
        if not task.needs_speech:
            return answer.text, None
        named = task.target_language or self._questions.language(segment_task.clip.recording)
        return answer.text, named or answer.language


check_job = check_audio_chat_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> AudioChat:
    """As EngineModule.open_engine."""
    return AudioChat(checkpoint.folder, options)


def _long_enough(samples: np.ndarray) -> np.ndarray:
    return np.pad(samples, (0, max(0, SHORTEST_SAMPLES - len(samples))))


def _groups(sounds: Sequence[AudioInputs]) -> list[list[AudioInputs]]:
    """Sounds, longest first, in groups that waste little on padding."""
    runs = cut_alike([sound.tokens for sound in sounds], MAX_PADDING)
    parts = [run[start : start + ENCODED_TOGETHER] for run in runs for start in range(0, len(run), ENCODED_TOGETHER)]
    return [[sounds[index] for index in part] for part in parts]
