"""CLAP: zero-shot labels, by the similarity of audio and the text of each label, and vectors of audio.

CLAP takes 48 kHz. Clips have 16 kHz and are resampled, so they have nothing above 8 kHz.

From audio longer than 10 s, transformers' feature extractor crops a random window, or three (`fusion`). Here the whole
segment is used, in consecutive windows of 10 s and a shorter last one; the result for a window is that of transformers'
ClapModel for the window alone. Scores and vectors are averaged over windows and segments, weighted by their lengths,
with or without speech.
"""

import logging
from collections.abc import Sequence
from threading import Lock

import numpy as np
import soxr

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.clap.check import check_clap_job, label_prompts
from earmark.model.clap.network import load_clap
from earmark.model.runtime.replicas import ReplicaPool
from earmark.model.segments.batching import plan_batches
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.label import LabelPart
from earmark.schemas.answers.vector import VectorPart
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")


class Clap(SegmentEngine):
    """The engine of a CLAP model; safe to call from several threads, which share the replicas.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        networks = load_clap(folder, options)
        self._rate_hz, self._max_samples = networks[0].rate_hz, networks[0].max_samples
        self._logit_scale = networks[0].logit_scale
        self._replicas = ReplicaPool(networks)
        self._budget = int(options.batch_s * SAMPLE_RATE_HZ)
        self._label_vectors: dict[Task, np.ndarray] = {}
        self._label_vectors_lock = Lock()
        log.info(
            "CLAP takes audio at %d Hz, and clips have %d Hz: it gets nothing above %d Hz",
            self._rate_hz,
            SAMPLE_RATE_HZ,
            SAMPLE_RATE_HZ // 2,
        )

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """As SegmentEngine.prompts; every recording has the same."""
        return tuple(task.question for task in tasks)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches; a window costs the same whatever its length."""
        window = self._max_samples * SAMPLE_RATE_HZ // self._rate_hz
        return plan_batches(
            [-(-segment_task.length // window) * window for segment_task in segment_tasks], self._budget
        )

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        windows = [self._windows(segment_task.samples) for segment_task in batch]
        with self._replicas.acquire() as network:
            vectors = network.embed_audio([window for of_segment in windows for window in of_segment])
        parts: list[Parts] = []
        for segment_task, of_segment in zip(batch, windows, strict=True):
            lengths = np.array([len(window) for window in of_segment])
            segment_vectors, vectors = np.split(vectors, [len(of_segment)])
            parts.append({task.name: self._part(task, segment_vectors, lengths) for task in segment_task.tasks})
        return parts

    def _windows(self, samples: np.ndarray) -> list[np.ndarray]:
        resampled = soxr.resample(np.ascontiguousarray(samples), SAMPLE_RATE_HZ, self._rate_hz)
        return [resampled[start : start + self._max_samples] for start in range(0, len(resampled), self._max_samples)]

    def _part(self, task: Task, vectors: np.ndarray, lengths: np.ndarray) -> AnswerPart:
        """Make the part of an answer about one segment.

        Args:
            task: Task to answer.
            vectors: Vectors of the segment's windows, float32 (windows, dimensions).
            lengths: Number of samples of each window, int64 (windows,).
        """
        weight = float(lengths.sum())
        if task.answer == "vector":
            return VectorPart(weight, np.average(vectors, axis=0, weights=lengths).astype(np.float32))
        logits = self._logit_scale * vectors.astype(np.float64) @ self._vectors_of_labels(task).T
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        mean = np.logaddexp.reduce(logprobs + np.log(lengths / weight)[:, None], axis=0)
        return LabelPart(weight, tuple(mean.tolist()), (1,) * len(mean))

    def _vectors_of_labels(self, task: Task) -> np.ndarray:
        """Return the vectors of a task's label prompts, computed on first use, float32 (labels, dimensions)."""
        with self._label_vectors_lock:
            if task not in self._label_vectors:
                with self._replicas.acquire() as network:
                    self._label_vectors[task] = network.embed_texts(label_prompts(task))
            return self._label_vectors[task]


check_job = check_clap_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Clap:
    """As EngineModule.open_engine."""
    return Clap(checkpoint.folder, options)
