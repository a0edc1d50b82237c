"""CLAP: closed sets by how near a sound is to the text of each label, without training, and vectors of sounds.

CLAP listens at 48 kHz; clips are 16 kHz here and are resampled, so it hears nothing above 8 kHz.

Of what is longer than 10 s, transformers' feature extractor takes a random piece, or three of them (`fusion`). Here a
segment is heard whole, in consecutive windows of 10 s (the last is shorter), each as transformers' ClapModel hears it
alone. Scores and vectors are averaged over windows and segments by their lengths, speech or not.
"""

import logging
from collections.abc import Sequence
from threading import Lock

import numpy as np
import soxr

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.clap.check import check_clap_job, label_texts
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
    """Answers label tasks and embed; safe to call from several threads, whose batches share out the copies.

    Raises:
        JobError: a device is asked for that is not there, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        copies = load_clap(folder, options)
        self._rate_hz, self._most_samples = copies[0].rate_hz, copies[0].most_samples
        self._logit_scale = copies[0].logit_scale
        self._copies = ReplicaPool(copies)
        self._budget = int(options.batch_s * SAMPLE_RATE_HZ)
        self._texts: dict[Task, np.ndarray] = {}
        self._texts_lock = Lock()
        log.info(
            "CLAP listens at %d Hz, earmark's clips have %d: nothing above %d Hz is heard",
            self._rate_hz,
            SAMPLE_RATE_HZ,
            SAMPLE_RATE_HZ // 2,
        )

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """As SegmentEngine.prompts; every recording has the same."""
        return tuple(task.question for task in tasks)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches; a window costs the same whatever its length."""
        window = self._most_samples * SAMPLE_RATE_HZ // self._rate_hz
        return plan_batches(
            [-(-segment_task.length // window) * window for segment_task in segment_tasks], self._budget
        )

    def infer(self, pieces: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        cut = [self._windows(piece.samples) for piece in pieces]
        with self._copies.acquire() as copy:
            vectors = copy.listen([window for windows in cut for window in windows])
        heard: list[Parts] = []
        for piece, windows in zip(pieces, cut, strict=True):
            lengths = np.array([len(window) for window in windows])
            mine, vectors = np.split(vectors, [len(windows)])
            heard.append({task.name: self._part(task, mine, lengths) for task in piece.tasks})
        return heard

    def _windows(self, samples: np.ndarray) -> list[np.ndarray]:
        resampled = soxr.resample(np.ascontiguousarray(samples), SAMPLE_RATE_HZ, self._rate_hz)
        return [resampled[start : start + self._most_samples] for start in range(0, len(resampled), self._most_samples)]

    def _part(self, task: Task, vectors: np.ndarray, lengths: np.ndarray) -> AnswerPart:
        """Of one segment: `vectors` float32 (windows, dimensions), and how many samples each window has."""
        weight = float(lengths.sum())
        if task.answer == "vector":
            return VectorPart(weight, np.average(vectors, axis=0, weights=lengths).astype(np.float32))
        logits = self._logit_scale * vectors.astype(np.float64) @ self._of_labels(task).T
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        mean = np.logaddexp.reduce(logprobs + np.log(lengths / weight)[:, None], axis=0)
        return LabelPart(weight, tuple(mean.tolist()), (1,) * len(mean))

    def _of_labels(self, task: Task) -> np.ndarray:
        """Vectors of the texts of a task's labels, made when first asked for: float32 (labels, dimensions)."""
        with self._texts_lock:
            if task not in self._texts:
                with self._copies.acquire() as copy:
                    self._texts[task] = copy.read(label_texts(task))
            return self._texts[task]


check_job = check_clap_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Clap:
    """As EngineModule.open_engine."""
    return Clap(checkpoint.folder, options)
