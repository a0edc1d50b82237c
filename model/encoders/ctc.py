"""CTC models of transformers: wav2vec2, HuBERT, WavLM, MMS and their kin. They transcribe, and time each character.

Greedy: the likeliest token of each frame, repetitions and blanks taken out. A clip's answer is that of the library for
the clip alone.
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
from earmark.model.checkpoints.weights import load_whole
from earmark.model.encoders.check_ctc import check_ctc_job
from earmark.model.encoders.ctc_text import Speller, adapter_languages, choose_language
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
    """A copy of the network on one device, which reads one language at a time."""

    def __init__(self, folder: str, place: str, dtype: torch.dtype):
        self._network: Any = load_whole(AutoModelForCTC, folder, dtype).to(place)
        self._language = ""

    def read(self, features: BatchFeature, language: str) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest token of each frame, int64 (clips, frames), and its log-probability, float32 of that shape.

        `language` is that of the adapter to read with; "" where the checkpoint has none.
        """
        if language != self._language:
            self._network.load_adapter(language, use_safetensors=True, local_files_only=True)
            self._language = language
        with torch.inference_mode():
            logits = self._network(**features.to(self._network.device, self._network.dtype)).logits
            best = logits.float().log_softmax(-1).max(-1)
            return best.indices.cpu().numpy(), best.values.cpu().numpy()


class Ctc:
    """Transcribes; safe to call from several threads, whose batches share out the copies of the network.

    Raises:
        JobError: a device is asked for that is not there, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        networks = load_replicas("the CTC model", folder, options, partial(CtcNetwork, folder))
        self._copies = ReplicaPool(networks)
        self._inputs = EncoderInputs(folder)
        self._languages = adapter_languages(Path(folder))
        self._speller = cache(partial(Speller, folder))

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """A Transcript for each clip; clips of one language are read together, so that adapters change seldom."""
        found: dict[int, Answers | RowError] = {}
        members: dict[str, list[int]] = {}
        for index, clip in enumerate(clips):
            try:
                members.setdefault(self._adapter(clip.recording), []).append(index)
            except RowError as error:
                found[index] = error
        for language, indices in members.items():
            reader = _Reader(self._copies, self._inputs, self._speller(language), language, self._options)
            answers = reader.annotate([clips[index] for index in indices], tasks)
            found.update(zip(indices, answers, strict=True))
        return [found[index] for index in range(len(clips))]

    def _adapter(self, recording: Recording) -> str:
        """The adapter of a recording's language; "" where the checkpoint has none."""
        wanted = recording.language or self._options.language
        return choose_language(wanted, self._languages) if self._languages else ""


@dataclass(frozen=True)
class _Reader(SegmentEngine):
    """The engine of one language."""

    copies: ReplicaPool[CtcNetwork]
    inputs: EncoderInputs
    speller: Speller
    adapter: str
    options: JobOptions

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        return self.inputs.plan([segment_task.length for segment_task in segment_tasks], self.options)

    def infer(self, pieces: Sequence[SegmentTask]) -> list[Parts]:
        features = self.inputs.features([piece.samples for piece in pieces])
        with self.copies.acquire() as network:
            tokens, logprobs = network.read(features, self.adapter)
        parts: list[Parts] = []
        for piece, of_piece, likely in zip(pieces, tokens, logprobs, strict=True):
            frames = self.inputs.frames(len(piece.samples), len(of_piece))
            part = self._part(piece, of_piece[:frames].tolist(), likely[:frames].tolist())
            parts.append({task.name: part for task in piece.tasks})
        return parts

    def _part(self, piece: SegmentTask, tokens: Sequence[int], logprobs: Sequence[float]) -> SpokenPart:
        text = self.speller.text(tokens)
        characters = self.speller.characters(tokens, logprobs)
        logprob_sum = sum(character.logprob for character in characters)
        segments: tuple[TextSegment, ...] = ()
        if text and self.options.timestamps:
            segments = tuple(
                TextSegment(self._time_s(piece, one.start), self._time_s(piece, one.end), one.text, one.logprob)
                for one in characters
            )
        elif text:
            start_s, end_s = piece.time_s(0), piece.time_s(len(piece.samples))
            segments = (TextSegment(start_s, end_s, text, logprob_sum / len(characters)),)
        flags = spoken_flags(text, piece.duration_s)
        return SpokenPart(segments, logprob_sum, len(characters), flags, self._language(piece), text)

    def _time_s(self, piece: SegmentTask, frame: int) -> float:
        return piece.time_s(min(frame * self.inputs.measures.stride, len(piece.samples)))

    def _language(self, piece: SegmentTask) -> str | None:
        """What the adapter is of, or what the row or the job says; the model itself does not tell."""
        said = self.adapter or piece.clip.recording.language or self.options.language
        return short_code(said) if said else None


check_job = check_ctc_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Ctc:
    """As EngineModule.open_engine."""
    return Ctc(checkpoint.folder, options)
