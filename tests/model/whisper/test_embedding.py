"""`embed` with Whisper's encoder is the mean of what transformers' encoder makes of each clip alone."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from earmark.model.whisper.embedding import embed_encoded
from earmark.model.whisper.network import WhisperNetwork
from earmark.model.whisper.transformers_engine import WhisperTransformers
from earmark.pipeline.annotate import assign
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.glides import cut_clip, make_glide, vector_of
from tests.support.checkpoints.small_whisper import write_small_whisper

pytestmark = pytest.mark.model

SECONDS = (3.3, 0.7, 30.0, 1 / SAMPLE_RATE_HZ, 0.02, 0.0201, 12.0)
OPTIONS = JobOptions(device="cpu", batch_s=60.0, model_threads=1)
TASKS = JobOptions(task=("embed",)).tasks()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def engine(folder):
    return WhisperTransformers(str(folder), OPTIONS)


def library_vector(folder, samples):
    """The mean over the frames of 20 ms that hold audio."""
    encoder = WhisperForConditionalGeneration.from_pretrained(folder).model.encoder
    features = WhisperFeatureExtractor.from_pretrained(folder)(
        samples, sampling_rate=SAMPLE_RATE_HZ, return_attention_mask=True, return_tensors="pt"
    )
    frames = (int(features.attention_mask.sum()) + 1) // 2  # of 10 ms each; the encoder makes one from two
    with torch.inference_mode():
        hidden = encoder(features.input_features).last_hidden_state
    return np.asarray(hidden[0, :frames].mean(dim=0).numpy())


def test_each_clip_s_vector_is_that_of_the_clip_alone(folder, engine):
    clips = [make_glide(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    results = engine.annotate([cut_clip(samples) for samples in clips], TASKS)
    vectors = [library_vector(folder, samples) for samples in clips]
    for answers, expected in zip(results, vectors, strict=True):
        assert vector_of(answers) == pytest.approx(expected, abs=1e-4)
    apart = [np.abs(a - b).max() for index, a in enumerate(vectors) for b in vectors[:index]]
    assert min(apart) > 0.001


def test_segments_weigh_their_lengths_with_or_without_speech(folder, engine):
    samples = make_glide(50.0, 20)
    cut = 21 * SAMPLE_RATE_HZ
    (answers,) = engine.annotate([cut_clip(samples, cut)], TASKS)
    vectors = [library_vector(folder, samples[:cut]), library_vector(folder, samples[cut:])]
    assert vector_of(answers) == pytest.approx(np.average(vectors, axis=0, weights=[21, 29]), abs=1e-4)


def test_frames_beyond_the_audio_do_not_count():
    hidden = torch.arange(24, dtype=torch.float32).reshape(2, 4, 3)
    beyond = hidden.clone()
    beyond[0, 2:] = 1e9
    vectors = embed_encoded(beyond, [321, 10**9])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1.5, 2.5, 3.5], [16.5, 17.5, 18.5]]
    assert embed_encoded(hidden.bfloat16(), [1, 320]).tolist() == [[0, 1, 2], [12, 13, 14]]


def test_the_dimensions_are_the_encoder_s_width(folder):
    ((assignment,), models) = assign(JobOptions(task=("embed",), model=(str(folder),)), here=True)
    (task,) = assignment.tasks
    width = json.loads((folder / "config.json").read_text())["d_model"]
    assert (task.dimensions, list(models)) == (width, [task])


def test_text_and_vector_come_from_one_pass_of_the_encoder(folder, engine, monkeypatch):
    """A clip that begins in silence: it is not transcribed, and the language is detected after it."""
    samples = make_glide(20.0, 3)
    cut = 8 * SAMPLE_RATE_HZ
    clip = cut_clip(samples, cut)
    silent, speech = clip.segments
    clip = dataclasses.replace(clip, segments=(dataclasses.replace(silent, speech=0), speech))
    both = JobOptions(task=("transcribe", "embed")).tasks()
    encoded: list[int] = []
    encode = WhisperNetwork.encode

    def counted(network, clips):
        encoded.append(len(clips))
        return encode(network, clips)

    monkeypatch.setattr(WhisperNetwork, "encode", counted)
    (together,) = engine.annotate([clip], both)
    assert sum(encoded) == 2  # once for each segment
    (text,) = engine.annotate([clip], both[:1])
    (of_both,) = engine.annotate([clip], both[1:])
    assert not isinstance(together, RowError) and not isinstance(text, RowError) and not isinstance(of_both, RowError)
    assert together["transcribe"] == text["transcribe"]
    assert vector_of(together) == pytest.approx(vector_of(of_both), abs=1e-4)
