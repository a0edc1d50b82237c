"""Audio classifiers of transformers: wav2vec2, HuBERT, WavLM and others, Whisper's encoder, AST.

A label's likelihood is the model's probability: the softmax over all its labels, or the sigmoid of each if the model is
multi-label (problem_type multi_label_classification). If several labels of the model map to one of the task's, their
probabilities add up, to 1 at most. Scores are shares among the task's labels; the model's other labels do not count.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForAudioClassification, BatchFeature

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.encoders.check_classifier import check_audio_classifier_job, own_labels
from earmark.model.encoders.inputs import EncoderInputs
from earmark.model.runtime.replicas import ReplicaPool, load_replicas
from earmark.model.segments.label_matching import match_labels
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask, label_weight
from earmark.schemas.answers.label import LabelPart
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task


class ClassifierNetwork:
    """One replica, on one device."""

    def __init__(self, folder: str, device: str, dtype: torch.dtype):
        self._network: Any = load_pretrained(AutoModelForAudioClassification, folder, dtype).to(device)
        self._multi_label = self._network.config.problem_type == "multi_label_classification"

    @torch.inference_mode()
    def logprobs(self, features: BatchFeature) -> np.ndarray:
        """Log-probability of each of the model's labels, float64 (clips, labels)."""
        logits = self._network(**features.to(self._network.device, self._network.dtype)).logits.double()
        logprobs = torch.nn.functional.logsigmoid(logits) if self._multi_label else logits.log_softmax(-1)
        return np.asarray(logprobs.cpu().numpy())


class AudioClassifier(SegmentEngine):
    """The engine of a classifier; safe to call from several threads, which share the replicas.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        networks = load_replicas("the classifier", folder, options, partial(ClassifierNetwork, folder))
        self._replicas = ReplicaPool(networks)
        self._inputs = EncoderInputs(folder)
        self._own_labels = own_labels(folder)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches."""
        return self._inputs.plan_batches([segment_task.length for segment_task in segment_tasks], self._options)

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer; a segment longer than the encoder's window gets the mean of several windows."""
        windows = [
            np.array_split(segment_task.samples, self._inputs.windows(segment_task.length)) for segment_task in batch
        ]
        features = self._inputs.features([window for of_segment in windows for window in of_segment])
        with self._replicas.acquire() as network:
            logprobs = network.logprobs(features)
        ends = np.cumsum([len(of_segment) for of_segment in windows])
        return [
            {task.name: self._part(segment_task, task, log_mean(rows)) for task in segment_task.tasks}
            for segment_task, rows in zip(batch, np.split(logprobs, ends[:-1]), strict=True)
        ]

    def _part(self, segment_task: SegmentTask, task: Task, logprobs: np.ndarray) -> LabelPart:
        label_logprobs = [log_sum(logprobs[list(members)]) for members in match_labels(task, self._own_labels)]
        return LabelPart(label_weight(segment_task), tuple(label_logprobs), (1,) * len(label_logprobs))


def log_mean(logprobs: np.ndarray) -> np.ndarray:
    """Logarithm of the mean over windows, float64 (labels,), of probabilities given as logarithms (windows, labels)."""
    return np.asarray(np.logaddexp.reduce(logprobs, axis=0) - np.log(len(logprobs)))


def log_sum(logprobs: np.ndarray) -> float:
    """Logarithm of the sum of probabilities given as logarithms: 0 at most, -inf for none."""
    return min(0.0, float(np.logaddexp.reduce(logprobs))) if len(logprobs) else -np.inf


check_job = check_audio_classifier_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> AudioClassifier:
    """As EngineModule.open_engine."""
    return AudioClassifier(checkpoint.folder, options)
