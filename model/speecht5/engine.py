"""SpeechT5 for transcripts, on transformers.

Its first convolution is normalised over the length of the audio, including padding. So segments are never padded, and
only segments of exactly the same length share a batch.
"""

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import SpeechT5FeatureExtractor, SpeechT5ForSpeechToText, SpeechT5Tokenizer

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.transformers_generate import end_tokens, generate_tokens
from earmark.model.runtime.replicas import ReplicaPool, load_replicas
from earmark.model.segments.batching import plan_batches
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask, spoken_part
from earmark.model.segments.text_flags import spoken_flags
from earmark.model.speecht5.check import check_speecht5_job, load_tokenizer
from earmark.schemas.answers.spoken import SpokenPart
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ


class SpeechT5Network:
    """One replica, on one device, for one thread at a time.

    Attributes:
        own_beam_size: Beam size of the checkpoint's generation_config.
    """

    def __init__(self, network: SpeechT5ForSpeechToText, extractor: SpeechT5FeatureExtractor):
        self._network = network
        self._extractor = extractor
        end_tokens(network)
        network.generation_config.max_length = None  # transformers' default of 20 tokens
        self.own_beam_size: int = network.generation_config.num_beams or 1
        self._min_samples = receptive_field(network.config.conv_kernel, network.config.conv_stride)

    def transcribe(self, segments: Sequence[np.ndarray], beam_size: int) -> list[Decoded]:
        """Transcribe segments (float32 at 16 kHz) that all have the same length."""
        rows = [np.pad(segment, (0, max(0, self._min_samples - len(segment)))) for segment in segments]
        features = self._extractor(audio=rows, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        network, device = self._network, self._network.device
        audio = features["input_values"].to(device, network.dtype)
        mask = torch.ones(audio.shape, dtype=torch.int64, device=device)
        encoded = network.get_encoder()(input_values=audio, attention_mask=mask)
        prompts = torch.full((len(rows), 1), network.config.decoder_start_token_id, device=device)
        return generate_tokens(network, encoded, mask, prompts, beam_size, network.config.max_text_positions - 1)


class SpeechT5(SegmentEngine):
    """The engine of a SpeechT5 model; safe to call from several threads, which share the replicas.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        self._options = options
        self._tokenizer: SpeechT5Tokenizer = load_tokenizer(Path(folder))
        networks = load_replicas("SpeechT5", folder, options, partial(_load, folder))
        self._beam_size = options.beam_size or networks[0].own_beam_size
        self._replicas = ReplicaPool(networks)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """As SegmentEngine.plan_batches; batches of one length each."""
        lengths = [segment_task.length for segment_task in segment_tasks]
        by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
        batches = []
        for length, members in itertools.groupby(by_length, key=lengths.__getitem__):
            indices = list(members)
            plan = plan_batches([length] * len(indices), int(self._options.batch_s * SAMPLE_RATE_HZ))
            batches += [[indices[index] for index in batch] for batch in plan]
        return batches

    def infer(self, batch: Sequence[SegmentTask]) -> list[Parts]:
        """As SegmentEngine.infer."""
        with self._replicas.acquire() as network, torch.inference_mode():
            results = network.transcribe([segment_task.samples for segment_task in batch], self._beam_size)
        return [
            {task.name: self._part(segment_task, result) for task in segment_task.tasks}
            for segment_task, result in zip(batch, results, strict=True)
        ]

    def _part(self, segment_task: SegmentTask, result: Decoded) -> SpokenPart:
        text = self._tokenizer.decode(result.tokens, skip_special_tokens=True).strip()
        flags = spoken_flags(text, segment_task.duration_s, result.truncated)
        # The model writes the language that it was trained on, so the row's is only copied.
        language = segment_task.clip.recording.language or self._options.language or None
        return spoken_part(segment_task, text, flags, result.logprob_sum, result.token_count, language)


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Number of samples from which convolutions make one frame; shorter segments are padded to it."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _load(folder: str, device: str, dtype: torch.dtype) -> SpeechT5Network:
    network = load_pretrained(SpeechT5ForSpeechToText, folder, dtype)
    extractor = SpeechT5FeatureExtractor.from_pretrained(folder, local_files_only=True)
    return SpeechT5Network(network.to(device), extractor)


check_job = check_speecht5_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> SpeechT5:
    """As EngineModule.open_engine."""
    return SpeechT5(checkpoint.folder, options)
