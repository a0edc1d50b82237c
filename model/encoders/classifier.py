"""Audio classifiers of transformers: wav2vec2, HuBERT, WavLM and their kin, Whisper's encoder, AST.

A label's likelihood is the model's probability of it: the softmax over all the model's labels, or its sigmoid where the
model judges each by itself (problem_type multi_label_classification). Where several of the model's labels stand for one
of the task's, they add up, to 1 at most. Scores are shares among the task's labels: the model's others are left out.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForAudioClassification, BatchFeature

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.weights import load_whole
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
    """A copy of the network on one device."""

    def __init__(self, folder: str, place: str, dtype: torch.dtype):
        self._network: Any = load_whole(AutoModelForAudioClassification, folder, dtype).to(place)
        self._multi_label = self._network.config.problem_type == "multi_label_classification"

    @torch.inference_mode()
    def logprobs(self, features: BatchFeature) -> np.ndarray:
        """Of each of the model's labels, float64 (clips, labels)."""
        logits = self._network(**features.to(self._network.device, self._network.dtype)).logits.double()
        judged = torch.nn.functional.logsigmoid(logits) if self._multi_label else logits.log_softmax(-1)
        return np.asarray(judged.cpu().numpy())


class AudioClassifier(SegmentEngine):
    """Chooses labels; safe to call from several threads, whose batches share out the copies of the network.

    Raises:
        JobError: a device is asked for that is not there, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        networks = load_replicas("the classifier", folder, options, partial(ClassifierNetwork, folder))
        self._copies = ReplicaPool(networks)
        self._inputs = EncoderInputs(folder)
        self._own = own_labels(folder)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        return self._inputs.plan([segment_task.length for segment_task in segment_tasks], self._options)

    def infer(self, pieces: Sequence[SegmentTask]) -> list[Parts]:
        """What an encoder hears in several windows, because it takes 10 s at a time, it judges by their mean."""
        windows = [np.array_split(piece.samples, self._inputs.windows(len(piece.samples))) for piece in pieces]
        features = self._inputs.features([window for of_piece in windows for window in of_piece])
        with self._copies.acquire() as network:
            logprobs = network.logprobs(features)
        ends = np.cumsum([len(of_piece) for of_piece in windows])
        return [
            {task.name: self._part(piece, task, log_mean(rows)) for task in piece.tasks}
            for piece, rows in zip(pieces, np.split(logprobs, ends[:-1]), strict=True)
        ]

    def _part(self, piece: SegmentTask, task: Task, logprobs: np.ndarray) -> LabelPart:
        of_labels = [log_sum(logprobs[list(members)]) for members in match_labels(task, self._own)]
        return LabelPart(label_weight(piece), tuple(of_labels), (1,) * len(of_labels))


def log_mean(logprobs: np.ndarray) -> np.ndarray:
    """Of probabilities, float64 (labels,), from the logarithms of several, (windows, labels)."""
    return np.asarray(np.logaddexp.reduce(logprobs, axis=0) - np.log(len(logprobs)))


def log_sum(logprobs: np.ndarray) -> float:
    """Of probabilities, 0 at most; -inf where there are none."""
    return min(0.0, float(np.logaddexp.reduce(logprobs))) if len(logprobs) else -np.inf


check_job = check_audio_classifier_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> AudioClassifier:
    """As EngineModule.open_engine."""
    return AudioClassifier(checkpoint.folder, options)
