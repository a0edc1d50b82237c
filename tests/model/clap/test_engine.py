"""CLAP gives transformers' results for each clip alone, whichever clips share a batch, and without random crops."""

import itertools
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

pytestmark = pytest.mark.model

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


class Reference:
    """transformers' own CLAP, on one clip of at most 10 s at a time."""

    def __init__(self, folder):
        self.model = ClapModel.from_pretrained(folder)
        self.processor = ClapProcessor.from_pretrained(folder)
        self.classify = pipeline("zero-shot-audio-classification", model=str(folder), device="cpu")

    def vector(self, samples):
        with torch.inference_mode():
            inputs = self.processor(audio=samples, sampling_rate=48_000, return_tensors="pt")
            return self.model.get_audio_features(**inputs).pooler_output[0].numpy()

    def scores(self, samples, labels, template):
        results = self.classify(samples, candidate_labels=list(labels), hypothesis_template=template)
        by_label = {result["label"]: result["score"] for result in results}
        return [by_label[label] for label in labels]


def at_48_khz(samples):
    return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ, 48_000))


def label(answers, task):
    assert isinstance(answers, dict)
    answer = answers[task]
    assert isinstance(answer, LabelAnswer)
    assert answer.score == max(score.score for score in answer.scores)
    return answer


def scores(answers, task):
    return [score.score for score in label(answers, task).scores]


def test_each_answer_equals_that_of_transformers_for_the_clip_alone(folder, engine, tasks):
    reference = Reference(folder)
    waveforms = [make_glide(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    results = engine.annotate([cut_clip(samples) for samples in waveforms], tasks)
    vectors = []
    for samples, answers in zip(waveforms, results, strict=True):
        resampled = at_48_khz(samples)
        vectors.append(reference.vector(resampled))
        assert vector_of(answers) == pytest.approx(vectors[-1], abs=1e-4)
        for task, template in zip(tasks, 2 * ["This is a sound of {}."] + ["Listen: {}!"], strict=False):
            assert scores(answers, task.name) == pytest.approx(
                reference.scores(resampled, task.labels, template), abs=1e-4
            )
    distances = [np.abs(first - second).max() for first, second in itertools.combinations(vectors, 2)]
    assert min(distances) > 0.001, "a mix-up of clips would not be noticed"
    assert len({label(answers, "emotion").label for answers in results}) > 1


def test_a_longer_recording_is_averaged_over_windows_weighted_by_length(folder, engine, tasks):
    reference = Reference(folder)
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
    expected = np.average([reference.vector(window) for window in windows], axis=0, weights=lengths)
    assert vector_of(answers) == pytest.approx(expected, abs=1e-4)
    labels = tasks[0].labels
    expected = [reference.scores(window, labels, "This is a sound of {}.") for window in windows]
    assert scores(answers, "emotion") == pytest.approx(np.average(expected, axis=0, weights=lengths).tolist(), abs=1e-4)
    assert sum(scores(answers, "emotion")) == pytest.approx(1)


def test_answers_do_not_depend_on_chance_or_on_the_batch(engine, tasks):
    clips = [cut_clip(make_glide(12.0, 30)), cut_clip(make_glide(10.001, 31)), cut_clip(make_glide(1.0, 32))]
    first, *repetitions = [engine.annotate(clips, tasks) for _ in range(3)]
    assert all(repetition == first for repetition in repetitions)
    for clip, answers in zip(clips, first, strict=True):
        (alone,) = engine.annotate([clip], tasks)
        assert vector_of(alone) == pytest.approx(vector_of(answers), abs=1e-5)


def test_silence_has_an_answer(engine, tasks):
    (answers,) = engine.annotate([cut_clip(np.zeros(SAMPLE_RATE_HZ, np.float32))], tasks)
    assert np.isfinite(vector_of(answers)).all()
    assert sum(scores(answers, "vocal_sound")) == pytest.approx(1)


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
def test_spectrograms_equal_the_extractors(padding, truncation):
    extractor = ClapFeatureExtractor(padding=padding, truncation=truncation, frequency_min=50)
    mels = ClapMels(extractor, torch.device("cpu"))
    windows = [at_48_khz(make_glide(seconds, 40)) for seconds in (10.0, 0.3, 4.1, 0.001, 6.0)]
    spectrograms = mels.spectrograms(mels.stack(windows))
    for window, spectrogram in zip(windows, spectrograms, strict=True):
        expected = extractor(window, sampling_rate=48_000, return_tensors="pt").input_features[0, 0]
        assert spectrogram.shape == expected.shape == (1001, 64)
        assert float((spectrogram - expected).abs().max()) < 1e-4


def test_labels_are_embedded_once_for_each_task(folder, tasks, monkeypatch):
    prompt_counts: list[int] = []
    get_text_features = ClapModel.get_text_features

    def counted(model, tokens, mask):
        prompt_counts.append(len(tokens))
        return get_text_features(model, tokens, mask)

    monkeypatch.setattr(ClapModel, "get_text_features", counted)
    engine = Clap(str(folder), OPTIONS)
    for seed in range(3):
        engine.annotate([cut_clip(make_glide(1.0, seed)), cut_clip(make_glide(25.0, seed))], tasks)
    assert prompt_counts == [len(task.labels) for task in tasks if task.labels]


def test_the_log_names_the_missing_frequencies(folder, caplog):
    with caplog.at_level(logging.INFO, "earmark"):
        Clap(str(folder), OPTIONS)
    messages = [record.getMessage() for record in caplog.records]
    assert "CLAP takes audio at 48000 Hz, and clips have 16000 Hz: it gets nothing above 8000 Hz" in messages
