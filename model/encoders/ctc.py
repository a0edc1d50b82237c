"""CTC models of transformers: wav2vec2, HuBERT, WavLM, MMS and others. They transcribe, and time each character.

Greedy decoding: the most likely token of each frame, with repetitions and blanks removed. A clip's answer equals that
of transformers for the clip alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCTC, BatchFeature

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.encoders.check_ctc import check_ctc_job
from earmark.model.encoders.ctc_text import CtcDecoder, adapter_languages, choose_language
from earmark.model.encoders.inputs import EncoderInputs
from earmark.model.runtime.replicas import ReplicaPool, load_replicas
from earmark.model.segments.language_codes import short_code
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.model.segments.text_flags import spoken_flags
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Answers, Clip, Recording
from earmark.schemas.tasks import Task


class CtcNetwork:
    """One replica, on one device, with one language's adapter at a time."""

    def __init__(self, folder: str, device: str, dtype: torch.dtype):
        self._network: Any = load_pretrained(AutoModelForCTC, folder, dtype).to(device)
        self._language = ""

    def best_tokens(self, features: BatchFeature, language: str) -> tuple[np.ndarray, np.ndarray]:
        """Find the most likely token of each frame.

        Args:
            features: Encoder inputs from EncoderInputs.features.
            language: Language of the adapter, "" if the checkpoint has no adapters.

        Returns:
            Token ids, int64 (clips, frames), and their log-probabilities, float32 (clips, frames).
        """
        if language != self._language:
            self._network.load_adapter(language, use_safetensors=True, local_files_only=True)
            self._language = language
        with torch.inference_mode():
            logits = self._network(**features.to(self._network.device, self._network.dtype)).logits
            best = logits.float().log_softmax(-1).max(-1)
            return best.indices.cpu().numpy(), best.values.cpu().numpy()


class Ctc:
    """The engine of a CTC model; safe to call from several threads, which share the replicas.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        networks = load_replicas("the CTC model", folder, options, partial(CtcNetwork, folder))
        self._replicas = ReplicaPool(networks)
        self._inputs = EncoderInputs(folder)
        self._languages = adapter_languages(Path(folder))
        self._decoder = cache(partial(CtcDecoder, folder))

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """As Engine.annotate; clips of one language run together, so that adapters change rarely."""
        answers: dict[int, Answers | RowError] = {}
        by_language: dict[str, list[int]] = {}
        for index, clip in enumerate(clips):
            try:
                by_language.setdefault(self._adapter(clip.recording), []).append(index)
            except RowError as error:
                answers[index] = error
        for language, indices in by_language.items():
            engine = _LanguageEngine(self._replicas, self._inputs, self._decoder(language), language, self._options)
            of_language = engine.annotate([clips[index] for index in indices], tasks)
            answers.update(zip(indices, of_language, strict=True))
        return [answers[index] for index in range(len(clips))]

    def _adapter(self, recording: Recording) -> str:
        """Return the language of the adapter for a recording, "" if the checkpoint has no adapters."""
        requested = recording.language or self._options.language
        return choose_language(requested, self._languages) if self._languages else ""


@dataclass(frozen=True)
class _LanguageEngine(SegmentEngine):
    """The engine of one language."""

    replicas: ReplicaPool[CtcNetwork]
    inputs: EncoderInputs
    decoder: CtcDecoder
    adapter: str
    options: JobOptions

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches."""
        return self.inputs.plan_batches([segment_task.length for segment_task in segment_tasks], self.options)

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        features = self.inputs.features([segment_task.samples for segment_task in batch])
        with self.replicas.acquire() as network:
            tokens, logprobs = network.best_tokens(features, self.adapter)
        parts: list[Parts] = []
        for segment_task, frame_tokens, frame_logprobs in zip(batch, tokens, logprobs, strict=True):
            frames = self.inputs.frames(segment_task.length, len(frame_tokens))
            part = self._part(segment_task, frame_tokens[:frames].tolist(), frame_logprobs[:frames].tolist())
            parts.append({task.name: part for task in segment_task.tasks})
        return parts

    def _part(self, segment_task: SegmentTask, tokens: Sequence[int], logprobs: Sequence[float]) -> SpokenPart:
        text = self.decoder.text(tokens)
        characters = self.decoder.characters(tokens, logprobs)
        logprob_sum = sum(character.logprob for character in characters)
        segments: tuple[TextSegment, ...] = ()
        if text and self.options.timestamps:
            segments = tuple(
                TextSegment(
                    self._time_s(segment_task, character.start),
                    self._time_s(segment_task, character.end),
                    character.text,
                    character.logprob,
                )
                for character in characters
            )
        elif text:
            start_s, end_s = segment_task.time_s(0), segment_task.time_s(segment_task.length)
            segments = (TextSegment(start_s, end_s, text, logprob_sum / len(characters)),)
        flags = spoken_flags(text, segment_task.duration_s)
        return SpokenPart(segments, logprob_sum, len(characters), flags, self._language(segment_task), text)

    def _time_s(self, segment_task: SegmentTask, frame: int) -> float:
        return segment_task.time_s(min(frame * self.inputs.framing.stride, segment_task.length))

    def _language(self, segment_task: SegmentTask) -> str | None:
        """Return the language of the adapter, the row or the job; the model itself does not detect one."""
        language = self.adapter or segment_task.clip.recording.language or self.options.language
        return short_code(language) if language else None


check_job = check_ctc_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Ctc:
    """As EngineModule.open_engine."""
    return Ctc(checkpoint.folder, options)
