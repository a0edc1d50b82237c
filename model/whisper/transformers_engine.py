"""Whisper through transformers: every size, distilled and fine-tuned, from safetensors.

The text is that of transformers' `generate` for each segment alone: it is padded to 30 s, and answered in one go.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.weights import load_whole
from earmark.model.decoding.greedy import Decoded
from earmark.model.runtime.replicas import ReplicaPool, load_replicas
from earmark.model.whisper.base import NO_SPEECH_LOGPROB, WhisperEngine, WhisperOutput, Window, spoken_tasks
from earmark.model.whisper.check_transformers import check_whisper_transformers_job, load_languages, load_tokenizer
from earmark.model.whisper.embedding import embed_encoded
from earmark.model.whisper.network import WhisperNetwork
from earmark.schemas.job import JobOptions


class WhisperTransformers(WhisperEngine):
    """Whisper of transformers; safe to call from several threads, whose batches share out the copies of the model.

    Raises:
        JobError: a device is asked for that is not there, or the weights cannot be loaded.
    """

    def __init__(self, folder: str, options: JobOptions):
        tokenizer = load_tokenizer(Path(folder))
        languages = load_languages(Path(folder), tokenizer)
        decode = partial(tokenizer.decode, skip_special_tokens=True)
        super().__init__(tokenizer.backend_tokenizer, decode, languages, options)
        self._start = self._token("<|startoftranscript|>")
        self._codes = sorted(languages)
        networks = load_replicas("Whisper", folder, options, partial(self._load, folder))
        self._beam_size = options.beam_size or networks[0].own_beam_size
        self._copies = ReplicaPool(networks)

    def _load(self, folder: str, place: str, dtype: torch.dtype) -> WhisperNetwork:
        network = load_whole(WhisperForConditionalGeneration, folder, dtype)
        network.generation_config.no_timestamps_token_id = self._first_timestamp - 1  # old checkpoints do not say
        extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
        return WhisperNetwork(network.to(place), extractor)

    def _listen(self, windows: Sequence[Window]) -> list[WhisperOutput]:
        with self._copies.acquire() as network, torch.inference_mode():
            samples = [window.piece.samples for window in windows]
            encoded = network.encode(samples)
            asked, vectors = windows[0].piece, list[np.ndarray | None]([None] * len(windows))
            if len(spoken_tasks(asked)) < len(asked.tasks):
                vectors = list(embed_encoded(encoded.last_hidden_state, [len(one) for one in samples]))
            if not spoken_tasks(asked):
                return [WhisperOutput(None, (), 0.0, vector) for vector in vectors]
            languages = self._detected(network, encoded, [window.language for window in windows])
            by_task = [
                network.write(
                    encoded,
                    [self._prompt(language, task) for language in languages],
                    self._beam_size,
                    self._options.timestamps,
                )
                for task in spoken_tasks(asked)
            ]
            said = list(zip(*by_task, strict=True))
            # Silence is asked about only where it would matter: the question costs as much as a word.
            doubtful = [
                row for row, of_row in enumerate(said) if any(_avg_logprob(one) < NO_SPEECH_LOGPROB for one in of_row)
            ]
            silence = dict(zip(doubtful, self._silence(network, encoded, doubtful), strict=True))
        return [
            WhisperOutput(language, of_row, silence.get(row, 0.0), vector)
            for row, (language, of_row, vector) in enumerate(zip(languages, said, vectors, strict=True))
        ]

    def _detected(
        self, network: WhisperNetwork, encoded: BaseModelOutput, languages: Sequence[str | None]
    ) -> list[str]:
        """The languages, detected where they are not known."""
        unknown = [row for row, language in enumerate(languages) if language is None]
        known = {row: language for row, language in enumerate(languages) if language is not None}
        if unknown:
            tokens = [self._token(f"<|{code}|>") for code in self._codes]
            found = network.begin(_rows(encoded, unknown), self._start)[:, tokens].argmax(dim=1).tolist()
            known |= {row: self._codes[best] for row, best in zip(unknown, found, strict=True)}
        return [known[row] for row in range(len(languages))]

    def _silence(self, network: WhisperNetwork, encoded: BaseModelOutput, rows: Sequence[int]) -> list[float]:
        """The probability that nobody speaks, of each of the rows."""
        if not rows:
            return []
        no_speech = self._first_timestamp - 2  # the token before <|notimestamps|>, whose name has changed
        found: list[float] = network.begin(_rows(encoded, rows), self._start)[:, no_speech].tolist()
        return found


def _rows(encoded: BaseModelOutput, rows: Sequence[int]) -> BaseModelOutput:
    return BaseModelOutput(last_hidden_state=encoded.last_hidden_state[list(rows)])


def _avg_logprob(said: Decoded) -> float:
    return said.logprob_sum / said.token_count


check_job = check_whisper_transformers_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> WhisperTransformers:
    """As EngineModule.open_engine."""
    return WhisperTransformers(checkpoint.folder, options)
