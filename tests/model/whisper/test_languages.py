"""How the Whisper engine chooses languages, with a fake multilingual model, as no package ships a real one."""

from dataclasses import dataclass

import numpy as np
import pytest

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.whisper.ctranslate2_engine import WhisperCTranslate2
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Segment

FACTS = AudioFacts(0.0, SAMPLE_RATE_HZ, 1, "flac", 0.0, 0.0, 0.0)
WINDOW = 30 * SAMPLE_RATE_HZ


@dataclass
class Generated:
    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float = 0.0


class Polyglot:
    """Detects German in sound and French in silence, generates nothing, and keeps the language tokens of prompts."""

    is_multilingual = True
    device_index = (0,)

    def __init__(self):
        self.encoded = 0
        self.language_tokens: list[int] = []

    def encode(self, mels, to_cpu):
        features = np.array(mels)
        self.encoded += len(features)
        return features.max(axis=(1, 2)) - features.min(axis=(1, 2)) > 0

    def detect_language(self, has_sound):
        return [[("<|de|>" if is_loud else "<|fr|>", 0.9), ("<|en|>", 0.1)] for is_loud in has_sound]

    def generate(self, encoded, prompts, **_):
        self.language_tokens += [prompt[1] for prompt in prompts]
        return [Generated([[]], [0.0]) for _ in prompts]


@pytest.fixture
def engine(monkeypatch):
    engine = WhisperCTranslate2(find_checkpoint("whisper-tiny.en").folder, JobOptions())
    monkeypatch.setattr(engine, "_model", Polyglot())
    monkeypatch.setattr(engine, "_languages", frozenset({"de", "en", "es", "fr", "it", "ja", "pt"}))
    return engine


def clip(first_is_loud, windows, language=None):
    samples = np.zeros(windows * WINDOW, dtype=np.float32)
    loud = np.random.default_rng(1).standard_normal(WINDOW).astype(np.float32)
    samples[:WINDOW] = loud if first_is_loud else 0
    samples[WINDOW:] = np.tile(loud, windows - 1)
    segments = tuple(Segment(start, start + WINDOW, WINDOW) for start in range(0, len(samples), WINDOW))
    return Clip(Recording(id="x", uri="x", language=language), samples, FACTS, segments)


def languages(engine, clips):
    results = engine.annotate(clips, JobOptions().tasks())
    return [None if isinstance(result, RowError) else result["transcribe"].language for result in results]


def test_the_language_of_the_row_takes_precedence_and_others_are_detected(engine):
    clips = [clip(True, 1), clip(False, 1), clip(True, 1, "ja"), clip(True, 1, "pt_BR"), clip(True, 1, "klingon")]
    assert languages(engine, clips) == ["de", "fr", "ja", "pt", None]


def test_all_segments_are_in_the_language_of_the_first_and_each_is_encoded_once(engine):
    assert languages(engine, [clip(False, 3)]) == ["fr"]
    assert engine._model.language_tokens == [engine._token("<|fr|>")] * 3
    assert engine._model.encoded == 3


def test_the_language_of_the_job_is_for_rows_without_one(engine):
    engine._options = JobOptions(language="es")
    assert languages(engine, [clip(True, 1), clip(True, 1, "it")]) == ["es", "it"]
