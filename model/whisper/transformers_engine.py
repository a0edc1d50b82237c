"""Whisper through transformers: every size, distilled and fine-tuned, from safetensors.

The text is that of transformers' `generate` for each segment alone, padded to 30 s, without chunks or fallbacks.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.weights import load_pretrained
from earmark.model.decoding.greedy import Decoded
from earmark.model.runtime.replicas import ReplicaPool, load_replicas
from earmark.model.whisper.base import WhisperEngine
from earmark.model.whisper.check_transformers import check_whisper_transformers_job, load_languages, load_tokenizer
from earmark.model.whisper.embedding import embed_encoded
from earmark.model.whisper.language_first import Window
from earmark.model.whisper.network import WhisperNetwork
from earmark.model.whisper.output_parts import NO_SPEECH_LOGPROB, WhisperOutput, speech_tasks
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task


class WhisperTransformers(WhisperEngine):
    """Whisper of transformers; safe to call from several threads, whose batches share the replicas.

    Raises:
        JobError: A device is not available, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        tokenizer = load_tokenizer(Path(folder))
        extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
        languages = load_languages(Path(folder), tokenizer)
        decode = partial(tokenizer.decode, skip_special_tokens=True)
        super().__init__(tokenizer.backend_tokenizer, decode, extractor, languages, options)
        self._start = self._token("<|startoftranscript|>")
        self._codes = sorted(languages)
        networks = load_replicas("Whisper", folder, options, partial(self._load, folder, extractor))
        self._beam_size = options.beam_size or networks[0].own_beam_size
        self._replicas = ReplicaPool(networks)

    def _load(self, folder: str, extractor: WhisperFeatureExtractor, device: str, dtype: torch.dtype) -> WhisperNetwork:
        network = load_pretrained(WhisperForConditionalGeneration, folder, dtype)
        network.generation_config.no_timestamps_token_id = self._first_timestamp - 1  # old checkpoints lack it
        return WhisperNetwork(network.to(device), extractor)

    def _generate(self, windows: Sequence[Window]) -> list[WhisperOutput]:
        segment_tasks = [window.segment_task for window in windows]
        tasks = speech_tasks(segment_tasks[0])
        with self._replicas.acquire() as network, torch.inference_mode():
            encoded = network.encode([window.samples for window in windows])
            vectors = [None] * len(windows) if len(tasks) == len(segment_tasks[0].tasks) else _vectors(encoded, windows)
            if not tasks:
                return [WhisperOutput(None, (), 0.0, vector) for vector in vectors]
            languages = self._spoken_languages(network, encoded, windows)
            by_task = [self._decode(network, encoded, languages, task) for task in tasks]
            rows = list(zip(*by_task, strict=True))
            # Only where it may count as silence: the probability costs as much as a decode step.
            doubtful = [
                index for index, row in enumerate(rows) if any(_avg_logprob(item) < NO_SPEECH_LOGPROB for item in row)
            ]
            no_speech = dict(zip(doubtful, self._no_speech(network, encoded, doubtful), strict=True))
        return [
            WhisperOutput(language, row, no_speech.get(index, 0.0), vector)
            for index, (language, row, vector) in enumerate(zip(languages, rows, vectors, strict=True))
        ]

    def _decode(
        self, network: WhisperNetwork, encoded: BaseModelOutput, languages: Sequence[str], task: Task
    ) -> list[Decoded]:
        prompts = [self._prompt(language, task) for language in languages]
        return network.decode(encoded, prompts, self._beam_size, self._options.timestamps)

    def _spoken_languages(
        self, network: WhisperNetwork, encoded: BaseModelOutput, windows: Sequence[Window]
    ) -> list[str]:
        """The language of each window, detected where it is None."""
        languages = {row: window.language for row, window in enumerate(windows) if window.language is not None}
        undetected = [row for row in range(len(windows)) if row not in languages]
        if undetected:
            tokens = [self._token(f"<|{code}|>") for code in self._codes]
            probabilities = network.first_token_probabilities(_rows(encoded, undetected), self._start)[:, tokens]
            for row, likeliest in zip(undetected, probabilities.argmax(dim=1).tolist(), strict=True):
                languages[row] = self._codes[likeliest]
        return [languages[row] for row in range(len(windows))]

    def _no_speech(self, network: WhisperNetwork, encoded: BaseModelOutput, rows: Sequence[int]) -> list[float]:
        """Probability of silence in each of the rows."""
        if not rows:
            return []
        no_speech = self._first_timestamp - 2  # the token before <|notimestamps|>; its name differs between versions
        probabilities = network.first_token_probabilities(_rows(encoded, rows), self._start)[:, no_speech]
        return [float(probability) for probability in probabilities]


def _vectors(encoded: BaseModelOutput, windows: Sequence[Window]) -> list[np.ndarray]:
    return list(embed_encoded(encoded.last_hidden_state, [window.segment_task.length for window in windows]))


def _rows(encoded: BaseModelOutput, rows: Sequence[int]) -> BaseModelOutput:
    return BaseModelOutput(last_hidden_state=encoded.last_hidden_state[list(rows)])


def _avg_logprob(decoded: Decoded) -> float:
    return decoded.logprob_sum / decoded.token_count


check_job = check_whisper_transformers_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> WhisperTransformers:
    """As EngineModule.open_engine."""
    return WhisperTransformers(checkpoint.folder, options)
