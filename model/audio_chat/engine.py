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
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.kv_cache import GROWTH_SLOTS
from earmark.model.decoding.prefix_decoder import LabelLogprobs
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.runtime.replicas import ReplicaPool
from earmark.model.segments.batching import cut_alike, plan_batches
from earmark.model.segments.segment_engine import Parts, SegmentTask, annotate_by_segment, label_weight
from earmark.model.segments.text_flags import answer_flags
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.label import LabelPart
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip, Recording
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")
MAX_PADDING = 1.05  # padded over real audio of what the language model takes in at once
ENCODED_TOGETHER = 8  # an encoder that pads to 30 s takes as much memory for 1 s
SAMPLES_PER_TOKEN = 640  # 40 ms, what a token counts in --batch_s


class AudioChat:
    """Answers what its checkpoint was made for; safe to call from several threads, which share out the copies.

    Raises:
        JobError: a device is asked for that is not there, or the checkpoint cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        opened = open_chat(folder, options.language)
        self._chat, self._questions = opened.chat, opened.questions
        self._budget = int(options.batch_s * SAMPLE_RATE_HZ)
        self._models = ReplicaPool(load_models(folder, opened.chat, opened.stops, options))

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """An answer to every task for each clip; segments in which nobody speaks have no transcript."""
        return annotate_by_segment(self, clips, tasks)

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        return self._questions.prompts(recording, tasks)

    def plan_batches(self, lengths: Sequence[int]) -> list[list[int]]:
        weights = [max(length, self._chat.least_tokens * SAMPLES_PER_TOKEN) for length in lengths]
        return plan_batches([weight + GROWTH_SLOTS * SAMPLES_PER_TOKEN for weight in weights], self._budget)

    def infer(self, pieces: Sequence[SegmentTask]) -> Sequence[Parts]:
        order = sorted(range(len(pieces)), key=lambda index: -len(pieces[index].samples))
        ordered = [pieces[index] for index in order]
        sounds = [self._chat.prefill(_long_enough(piece.samples)) for piece in ordered]
        # All have the same columns; what a piece is not asked is empty.
        tasks = max((piece.tasks for piece in ordered), key=len)
        rows = [self._row(piece, tasks) for piece in ordered]
        with self._models.acquire() as model:
            found = model.answer(self._questions.head, _groups(sounds), rows)
        parts: list[Parts] = [{}] * len(pieces)
        for index, piece, row, results in zip(order, ordered, rows, found, strict=True):
            parts[index] = {
                task.name: self._part(piece, task, question, result)
                for task, question, result in zip(tasks, row, results, strict=True)
                if result is not None
            }
        return parts

    def _row(self, piece: SegmentTask, tasks: Sequence[Task]) -> list[PromptBranch]:
        prompts = dict(zip((task.name for task in piece.tasks), piece.prompts, strict=True))
        return [
            self._questions.question(piece.clip.recording, task, prompts[task.name])
            if task.name in prompts
            else PromptBranch((), task.max_new_tokens)
            for task in tasks
        ]

    def _part(
        self, piece: SegmentTask, task: Task, question: PromptBranch, result: Decoded | LabelLogprobs
    ) -> AnswerPart:
        if isinstance(result, LabelLogprobs):
            return LabelPart(label_weight(piece), result.logprobs, tuple(map(len, question.labels)))
        read = self._chat.read(task, result.tokens)
        flags = answer_flags(task, read.text, piece.duration_s, result.truncated)
        start_s, end_s = piece.time_s(0), piece.time_s(len(piece.samples))
        segments = (
            (TextSegment(start_s, end_s, read.text, result.logprob_sum / result.token_count),) if read.text else ()
        )
        known = task.target_language or self._questions.language(piece.clip.recording)
        language = (known or read.language) if task.needs_speech else None
        return SpokenPart(segments, result.logprob_sum, result.token_count, flags, language)


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
