"""Whisper through CTranslate2, in the format that faster-whisper publishes; batches run across recordings.

Every segment is padded to the 30 s that Whisper was trained on, so an answer cannot depend on its neighbours.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor

from model.batching import plan_batches, run_halving
from model.check_whisper import check_whisper_job
from model.checkpoint import Checkpoint
from model.device import choose_device
from model.join_answers import SpokenPart, join_transcript
from model.text_flags import is_repetitive, is_too_fast
from model.whisper_languages import spoken_language, whisper_languages
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.records import SAMPLE_RATE_HZ, Answers, Clip, Segment, TextSegment
from schemas.tasks import Task

log = logging.getLogger("earmark")
ctranslate2.set_log_level(logging.ERROR)  # it warns of the numbers it computes in, which the engine says itself

WINDOW_S = 30  # Whisper hears this much at a time
TIMESTAMP_SAMPLES = SAMPLE_RATE_HZ // 50  # a timestamp token counts 20 ms
CONTEXT_TOKENS = 448  # of Whisper's decoder; CTranslate2 generates up to half of the `max_length` that it is given
# Whisper's reference code samples at most half of its text context (whisper/decoding.py, sample_len).
MAX_NEW_TOKENS = CONTEXT_TOKENS // 2
BEAM_SIZE = 5  # of the reference code, and of faster-whisper
# A segment is silent when both hold (whisper/transcribe.py: no_speech_threshold, logprob_threshold).
NO_SPEECH_PROBABILITY = 0.6
NO_SPEECH_LOGPROB = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """One segment to transcribe; `language` is None where it is to be detected.

    `offset_s`: where the clip begins in its file; the times that are given out are times in the file.
    """

    clip: int
    offset_s: float
    segment: Segment
    samples: np.ndarray
    language: str | None


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the model made of one segment."""

    language: str
    part: SpokenPart


class WhisperCTranslate2:
    """Transcribes with Whisper; safe to call from several threads, whose batches queue for the device.

    Raises:
        JobError: a CUDA device is asked for and there is none, or the weights cannot be loaded.
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
        self._tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self._extract = WhisperFeatureExtractor(feature_size=self._model.n_mels)
        self._options = options
        self._languages = whisper_languages(self._tokenizer)
        self._end_of_text = self._token("<|endoftext|>")
        self._first_timestamp = self._token("<|notimestamps|>") + 1

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """A Transcript for each clip; segments without speech are not shown to the model."""
        languages: list[str | RowError | None] = [self._language(clip.recording.language) for clip in clips]
        heard: dict[tuple[int, int], _Heard | RowError] = {}
        waiting = [(index, segment) for index, clip in enumerate(clips) for segment in clip.segments if segment.speech]
        while waiting:  # a recording's language is that of its first segment, so its others wait for it
            ready, later, started = [], [], set()
            for index, segment in waiting:
                language = languages[index]
                if isinstance(language, RowError):
                    continue
                if language is None and index in started:
                    later.append((index, segment))
                else:
                    started.add(index)
                    clip = clips[index]
                    samples = clip.samples[segment.start : segment.end]
                    ready.append(_Item(index, clip.recording.offset_s, segment, samples, language))
            for item, result in self._run(ready):
                heard[item.clip, item.segment.start] = result
                if languages[item.clip] is None:
                    languages[item.clip] = result if isinstance(result, RowError) else result.language
            waiting = later
        return [
            language if isinstance(language, RowError) else self._answer(clip, index, heard, language)
            for index, (clip, language) in enumerate(zip(clips, languages, strict=True))
        ]

    def _run(self, items: Sequence[_Item]) -> Iterable[tuple[_Item, _Heard | RowError]]:
        """Every item with its result; items of like length share a batch, because they say about as much."""
        by_length = sorted(items, key=lambda item: -len(item.samples))
        window = WINDOW_S * SAMPLE_RATE_HZ
        for batch in plan_batches([window] * len(by_length), int(self._options.batch_s * SAMPLE_RATE_HZ)):
            members = [by_length[index] for index in batch]
            yield from zip(members, run_halving(members, self._transcribe), strict=True)

    def _transcribe(self, items: Sequence[_Item]) -> list[_Heard]:
        mels = self._extract(
            [item.samples for item in items], sampling_rate=SAMPLE_RATE_HZ, return_tensors="np"
        ).input_features
        # With several devices, the one that decodes may be another than the one that encoded.
        to_cpu = len(self._model.device_index) > 1
        encoded = self._model.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mels)), to_cpu=to_cpu)
        languages = [item.language for item in items]
        if None in languages:
            detected = self._model.detect_language(encoded)
            best = [ranked[0][0].strip("<|>") for ranked in detected]
            languages = [language or found for language, found in zip(languages, best, strict=True)]
        prompts = [self._prompt(language) for language in languages if language]
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=self._options.beam_size or BEAM_SIZE,
            max_length=CONTEXT_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [
            self._hear(item, language, result)
            for item, language, result in zip(items, languages, results, strict=True)
            if language
        ]

    def _hear(self, item: _Item, language: str, result: ctranslate2.models.WhisperGenerationResult) -> _Heard:
        tokens = result.sequences_ids[0]
        # The score is the sum of log-probabilities over the tokens without the end, which is part of the sum.
        logprob_sum = result.scores[0] * len(tokens)
        avg_logprob = logprob_sum / (len(tokens) + 1)
        if result.no_speech_prob > NO_SPEECH_PROBABILITY and avg_logprob < NO_SPEECH_LOGPROB:
            return _Heard(language, SpokenPart((), 0.0, 0, frozenset({"no_speech"})))
        spans = split_at_timestamps(tokens, self._first_timestamp, len(item.samples))
        pieces = tuple(
            TextSegment(
                item.offset_s + (item.segment.start + start) / SAMPLE_RATE_HZ,
                item.offset_s + (item.segment.start + end) / SAMPLE_RATE_HZ,
                self._tokenizer.decode([token for token in words if token < self._end_of_text]).strip(),
                avg_logprob,
            )
            for start, end, words in spans
        )
        text = " ".join(piece.text for piece in pieces)
        flags = {"repetition"} if is_repetitive(text) else set()
        flags |= {"too_fast"} if is_too_fast(text, len(item.samples) / SAMPLE_RATE_HZ) else set()
        flags |= {"truncated"} if len(tokens) >= MAX_NEW_TOKENS else set()
        pieces = tuple(piece for piece in pieces if piece.text)
        return _Heard(language, SpokenPart(pieces, logprob_sum, len(tokens) + 1, frozenset(flags)))

    def _answer(
        self, clip: Clip, index: int, heard: dict[tuple[int, int], _Heard | RowError], language: str | None
    ) -> Answers | RowError:
        parts = [heard[index, segment.start] for segment in clip.segments if (index, segment.start) in heard]
        good = [part.part for part in parts if isinstance(part, _Heard)]
        if len(good) < len(parts):
            return next(part for part in parts if isinstance(part, RowError))
        return {"transcribe": join_transcript(good, language)}

    def _language(self, of_row: str | None) -> str | RowError | None:
        """The language to transcribe in; None where the model is to detect it."""
        wanted = of_row or self._options.language
        try:
            if wanted:
                return spoken_language(wanted, self._languages)
        except RowError as error:
            return error
        return None if self._model.is_multilingual else "en"

    def _prompt(self, language: str) -> list[int]:
        prompt = [self._token("<|startoftranscript|>")]
        if self._model.is_multilingual:
            prompt += [self._token(f"<|{language}|>"), self._token("<|transcribe|>")]
        return prompt if self._options.timestamps else [*prompt, self._first_timestamp - 1]

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        if token is None:
            raise JobError(f"the model's tokenizer.json knows no {text}; it is not Whisper's")
        return int(token)


check_job = check_whisper_job


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> WhisperCTranslate2:
    """As EngineModule.open_engine."""
    return WhisperCTranslate2(checkpoint.folder, options)


def split_at_timestamps(tokens: Sequence[int], first_timestamp: int, length: int) -> list[tuple[int, int, list[int]]]:
    """Phrases as (start, end, tokens), in samples of a segment of `length` samples, end never beyond it.

    Whisper writes a phrase between two timestamps; a phrase whose end is missing ends with the segment, and text
    without any timestamp is one phrase.
    """
    phrases: list[tuple[int, int, list[int]]] = []
    start, words = 0, list[int]()
    for token in tokens:
        if token < first_timestamp:
            words.append(token)
            continue
        moment = min((token - first_timestamp) * TIMESTAMP_SAMPLES, length)
        if words:
            phrases.append((start, max(moment, start), words))
        start, words = moment, []
    return [*phrases, (start, length, words)] if words else phrases
