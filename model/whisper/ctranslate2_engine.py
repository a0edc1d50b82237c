"""Whisper through CTranslate2, in the format that faster-whisper publishes; batches run across recordings."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.decoding.greedy import Decoded
from earmark.model.runtime.devices import choose_device
from earmark.model.whisper.base import WhisperEngine
from earmark.model.whisper.check_ctranslate2 import check_whisper_job
from earmark.model.whisper.language_first import Window
from earmark.model.whisper.languages import whisper_languages
from earmark.model.whisper.output_parts import WhisperOutput, speech_tasks
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")
ctranslate2.set_log_level(logging.ERROR)  # it warns of its compute type, which the engine logs itself

CONTEXT_TOKENS = 448  # of Whisper's decoder; CTranslate2 generates up to half of its `max_length`
# Whisper's reference code samples at most half of its text context (whisper/decoding.py, sample_len).
MAX_NEW_TOKENS = CONTEXT_TOKENS // 2
BEAM_SIZE = 5  # of the reference code, and of faster-whisper


class WhisperCTranslate2(WhisperEngine):
    """Whisper in CTranslate2's format; safe to call from several threads, whose batches queue for the device.

    Raises:
        JobError: --device=cuda without a CUDA device, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        cuda_devices = ctranslate2.get_cuda_device_count()
        self.device = choose_device(options.device, cuda_devices)
        devices = cuda_devices if self.device == "cuda" else 1
        try:
            self._model = ctranslate2.models.Whisper(
                folder,
                device=self.device,
                device_index=list(range(devices)),
                compute_type=options.compute_type,
                intra_threads=options.model_threads or os.cpu_count() or 1,
            )
        except (RuntimeError, ValueError) as error:
            raise JobError(f"the model in {folder} cannot be loaded on {self.device}: {error}") from error
        log.info("Whisper on %s, computing in %s", self.device, self._model.compute_type)
        self._extract = WhisperFeatureExtractor(feature_size=self._model.n_mels)
        tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        super().__init__(tokenizer, tokenizer.decode, self._extract, whisper_languages(tokenizer), options)

    def _generate(self, windows: Sequence[Window]) -> list[WhisperOutput]:
        samples = [window.samples for window in windows]
        mels = self._extract(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np").input_features
        # With several devices, decoding may run on another device than encoding.
        to_cpu = len(self._model.device_index) > 1
        encoded = self._model.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mels)), to_cpu=to_cpu)
        languages = self._spoken_languages(encoded, windows)
        by_task = [self._decode(encoded, languages, task) for task in speech_tasks(windows[0].segment_task)]
        return [
            WhisperOutput(language, tuple(map(_decoded, results)), results[0].no_speech_prob)
            for language, *results in zip(languages, *by_task, strict=True)
        ]

    def _spoken_languages(self, encoded: ctranslate2.StorageView, windows: Sequence[Window]) -> list[str]:
        languages = [window.language for window in windows]
        if None in languages:
            likeliest = [ranked[0][0].strip("<|>") for ranked in self._model.detect_language(encoded)]
            return [language or detected for language, detected in zip(languages, likeliest, strict=True)]
        return [language for language in languages if language]

    def _decode(
        self, encoded: ctranslate2.StorageView, languages: Sequence[str], task: Task
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        results: list[ctranslate2.models.WhisperGenerationResult] = self._model.generate(
            encoded,
            [self._prompt(language, task) for language in languages],
            beam_size=self._options.beam_size or BEAM_SIZE,
            max_length=CONTEXT_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return results


def _decoded(result: ctranslate2.models.WhisperGenerationResult) -> Decoded:
    tokens = tuple(result.sequences_ids[0])
    # The score is the sum of log-probabilities, the end token's included, divided by the tokens without the end token.
    return Decoded(tokens, result.scores[0] * len(tokens), len(tokens) + 1, len(tokens) >= MAX_NEW_TOKENS)


check_job = check_whisper_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> WhisperCTranslate2:
    """As EngineModule.open_engine."""
    return WhisperCTranslate2(checkpoint.folder, options)
