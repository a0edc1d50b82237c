"""CLAP hears what transformers hears of each clip alone, whatever its neighbours, and nothing at random."""

import logging

import numpy as np
import pytest
import soxr
import torch
from transformers import ClapFeatureExtractor, ClapModel, ClapProcessor, pipeline

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.clap.engine import Clap, check_job
from earmark.model.clap.mels import ClapMels
from earmark.schemas.answers.label import LabelAnswer
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts
from earmark.schemas.tasks import new_task
from tests.support.audio.glides import cut_clip, make_glide, vector_of
from tests.support.checkpoints.small_clap import write_clap

FACTS = AudioFacts(1.0, SAMPLE_RATE_HZ, 1, "wav", -20.0, -3.0, 0.0)
SECONDS = (3.3, 0.7, 10.0, 1 / SAMPLE_RATE_HZ, 9.99, 0.01, 5.0, 6.0)
OPTIONS = JobOptions(device="cpu", batch_s=30.0, model_threads=1)
MUSIC = new_task("music", {"prompt": "Listen: {label}!", "labels": ["some music", "no music"]})


@pytest.fixture(scope="module", params=["unfused", "fused"])
def folder(request, tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp(request.param), fusion=request.param == "fused")


@pytest.fixture(scope="module")
def engine(folder):
    return Clap(str(folder), OPTIONS)


@pytest.fixture(scope="module")
def tasks(folder):
    job = JobOptions(task=("emotion", "vocal_sound", "music", "embed"), new_tasks=(MUSIC,))
    return check_job(Checkpoint("m", str(folder), ""), job, job.tasks(), here=True)


class Library:
    """transformers, one clip of at most 10 s at a time."""

    def __init__(self, folder):
        self.model = ClapModel.from_pretrained(folder)
        self.processor = ClapProcessor.from_pretrained(folder)
        self.classify = pipeline("zero-shot-audio-classification", model=str(folder), device="cpu")

    def vector(self, heard):
        with torch.inference_mode():
            given = self.processor(audio=heard, sampling_rate=48_000, return_tensors="pt")
            return self.model.get_audio_features(**given).pooler_output[0].numpy()

    def scores(self, heard, labels, template):
        found = self.classify(heard, candidate_labels=list(labels), hypothesis_template=template)
        by_label = {one["label"]: one["score"] for one in found}
        return [by_label[label] for label in labels]


def at_48_khz(samples):
    return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ, 48_000))


def label(answers, task):
    assert isinstance(answers, dict)
    answer = answers[task]
    assert isinstance(answer, LabelAnswer)
    assert answer.score == max(one.score for one in answer.scores)
    return answer


def scores(answers, task):
    return [one.score for one in label(answers, task).scores]


def test_each_clip_is_heard_as_transformers_hears_it_alone(folder, engine, tasks):
    library = Library(folder)
    sounds = [make_glide(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    found = engine.annotate([cut_clip(samples) for samples in sounds], tasks)
    vectors = []
    for samples, answers in zip(sounds, found, strict=True):
        heard = at_48_khz(samples)
        vectors.append(library.vector(heard))
        assert vector_of(answers) == pytest.approx(vectors[-1], abs=1e-4)
        for task, template in zip(tasks, 2 * ["This is a sound of {}."] + ["Listen: {}!"], strict=False):
            assert scores(answers, task.name) == pytest.approx(library.scores(heard, task.labels, template), abs=1e-4)
    apart = [np.abs(one - other).max() for index, one in enumerate(vectors) for other in vectors[:index]]
    assert min(apart) > 0.001  # so that taking one for another would be seen
    assert len({label(answers, "emotion").label for answers in found}) > 1


def test_a_longer_recording_is_heard_whole_in_windows_that_count_by_their_lengths(folder, engine, tasks):
    library = Library(folder)
    samples = make_glide(41.0, 20)
    cut = round(27.3 * SAMPLE_RATE_HZ)
    windows = [
        segment[start : start + 480_000]
        for segment in (at_48_khz(samples[:cut]), at_48_khz(samples[cut:]))
        for start in range(0, len(segment), 480_000)
    ]
    lengths = [len(window) for window in windows]
    assert len(windows) == 5
    short = cut_clip(make_glide(2.0, 21))
    _, answers, _ = engine.annotate([short, cut_clip(samples, cut), short], tasks)
    expected = np.average([library.vector(window) for window in windows], axis=0, weights=lengths)
    assert vector_of(answers) == pytest.approx(expected, abs=1e-4)
    labels = tasks[0].labels
    expected = [library.scores(window, labels, "This is a sound of {}.") for window in windows]
    assert scores(answers, "emotion") == pytest.approx(np.average(expected, axis=0, weights=lengths).tolist(), abs=1e-4)
    assert sum(scores(answers, "emotion")) == pytest.approx(1)


def test_nothing_is_taken_at_random(engine, tasks):
    clips = [cut_clip(make_glide(12.0, 30)), cut_clip(make_glide(10.001, 31)), cut_clip(make_glide(1.0, 32))]
    first, *others = [engine.annotate(clips, tasks) for _ in range(3)]
    assert all(other == first for other in others)
    for clip, answers in zip(clips, first, strict=True):
        (alone,) = engine.annotate([clip], tasks)
        assert vector_of(alone) == pytest.approx(vector_of(answers), abs=1e-5)


def test_silence_has_an_answer(engine, tasks):
    (answers,) = engine.annotate([cut_clip(np.zeros(SAMPLE_RATE_HZ, np.float32))], tasks)
    assert np.isfinite(vector_of(answers)).all()
    assert sum(scores(answers, "vocal_sound")) == pytest.approx(1)


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
def test_spectrograms_are_those_of_the_extractor(padding, truncation):
    extractor = ClapFeatureExtractor(padding=padding, truncation=truncation, frequency_min=50)
    mels = ClapMels(extractor, torch.device("cpu"))
    windows = [at_48_khz(make_glide(seconds, 40)) for seconds in (10.0, 0.3, 4.1, 0.001, 6.0)]
    found = mels.spectrograms(mels.stack(windows))
    for window, spectrogram in zip(windows, found, strict=True):
        alone = extractor(window, sampling_rate=48_000, return_tensors="pt").input_features[0, 0]
        assert spectrogram.shape == alone.shape == (1001, 64)
        assert float((spectrogram - alone).abs().max()) < 1e-4


def test_labels_are_read_once_a_task(folder, tasks, monkeypatch):
    read: list[int] = []
    get_text_features = ClapModel.get_text_features

    def counted(model, tokens, mask):
        read.append(len(tokens))
        return get_text_features(model, tokens, mask)

    monkeypatch.setattr(ClapModel, "get_text_features", counted)
    engine = Clap(str(folder), OPTIONS)
    for seed in range(3):
        engine.annotate([cut_clip(make_glide(1.0, seed)), cut_clip(make_glide(25.0, seed))], tasks)
    assert read == [len(task.labels) for task in tasks if task.labels]


def test_what_is_not_heard_is_said_at_open(folder, caplog):
    with caplog.at_level(logging.INFO, "earmark"):
        Clap(str(folder), OPTIONS)
    said = [record.getMessage() for record in caplog.records]
    assert "CLAP listens at 48000 Hz, earmark's clips have 16000: nothing above 8000 Hz is heard" in said
