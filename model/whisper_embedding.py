"""`embed` with Whisper's encoder: the mean of what it makes of the frames that hold audio.

Every segment is padded to the 30 s that Whisper was trained on, so a vector cannot depend on its neighbours.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from model.batching import plan_batches
from model.by_segment import Parts, Piece, annotate_by_segment
from model.checkpoint import Checkpoint
from model.fitting_tasks import check_tasks_fit
from model.join_answers import VectorPart
from model.load_whole import check_files, load_whole
from model.torch_copies import Copies, check_torch_device, load_copies
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.records import SAMPLE_RATE_HZ, Answers, Clip, Recording
from schemas.tasks import Task

WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ  # Whisper hears this much at a time
# The encoder makes one frame of two of the spectrogram, 10 ms apart (whisper/audio.py, N_SAMPLES_PER_TOKEN).
FRAME_SAMPLES = SAMPLE_RATE_HZ // 50


def embed_encoded(hidden: torch.Tensor, lengths: Sequence[int]) -> np.ndarray:
    """The mean of each segment's frames that hold audio: float32 (segments, width).

    Args:
        hidden: what the encoder made of padded segments, (segments, frames, width).
        lengths: of the segments, in samples.
    """
    frames = torch.tensor([min(-(-length // FRAME_SAMPLES), hidden.shape[1]) for length in lengths])
    frames = frames.to(hidden.device)[:, None]
    holds_audio = torch.arange(hidden.shape[1], device=hidden.device) < frames
    sums = torch.einsum("sfw,sf->sw", hidden.float(), holds_audio.float())
    return np.asarray((sums / frames).cpu().numpy())


def embedding_part(piece: Piece, vector: np.ndarray) -> VectorPart:
    """A row of `embed_encoded` as the part of a segment, which counts by its length."""
    return VectorPart(float(len(piece.samples)), vector)


class WhisperEmbedder:
    """Answers embed; safe to call from several threads, whose batches share out the copies of the encoder.

    Raises:
        JobError: a device is asked for that is not there, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._copies = Copies(load_copies("Whisper's encoder", folder, options, partial(_load, folder)))
        self._extract = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
        self._budget = int(options.batch_s * SAMPLE_RATE_HZ)

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """As Engine.annotate."""
        return annotate_by_segment(self, clips, tasks)

    def ask(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """As SegmentModel.ask: nothing is asked in words."""
        return ("",) * len(tasks)

    def plan(self, lengths: Sequence[int]) -> list[list[int]]:
        """As SegmentModel.plan: every segment costs 30 s."""
        return plan_batches([WINDOW_SAMPLES] * len(lengths), self._budget)

    def hear(self, pieces: Sequence[Piece]) -> list[Parts]:
        """As SegmentModel.hear."""
        samples = [piece.samples for piece in pieces]
        mels = self._extract(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        with self._copies.one() as encoder, torch.inference_mode():
            hidden = encoder(mels.to(encoder.device, encoder.dtype)).last_hidden_state
            vectors = embed_encoded(hidden, [len(one) for one in samples])
        return [
            {task.name: embedding_part(piece, vector) for task in piece.tasks}
            for piece, vector in zip(pieces, vectors, strict=True)
        ]


def _load(folder: str, place: str, dtype: torch.dtype) -> Any:
    return load_whole(WhisperModel, folder, dtype).get_encoder().to(place)


def check_job(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    about = "Whisper, whose encoder makes vectors"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: task.answer == "vector")
    check_files(checkpoint, ("preprocessor_config.json", "processor_config.json"))
    try:
        width = int(WhisperConfig.from_pretrained(checkpoint.folder, local_files_only=True).d_model)
    except Exception as error:  # what a wrong value breaks may be anywhere in transformers
        raise JobError(f"model {checkpoint.name} cannot be run: {' '.join(str(error).split())}") from error
    if here:
        check_torch_device(options)
    return tuple(dataclasses.replace(task, dimensions=width) for task in tasks)


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> WhisperEmbedder:
    """As EngineModule.open_engine."""
    return WhisperEmbedder(checkpoint.folder, options)
