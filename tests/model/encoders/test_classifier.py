"""Audio classifiers against transformers' own pipeline, one clip at a time."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AudioClassificationPipeline, AutoFeatureExtractor, AutoModelForAudioClassification

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.encoders import inputs as encoder_inputs
from earmark.model.encoders.classifier import AudioClassifier, check_job, log_mean, log_sum
from earmark.schemas.answers.label import LabelAnswer
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task
from tests.support.audio.clips import clip_of, make_samples, segment_tasks_of
from tests.support.checkpoints.qwen2_audio_reference import TASKS
from tests.support.checkpoints.small_encoders import write_classifier

pytestmark = pytest.mark.model

SUPERB = ["neu", "hap", "ang", "sad"]  # the labels of superb/wav2vec2-base-superb-er
MAP = (("neu", "neutral"), ("hap", "joy"), ("ang", "anger"), ("sad", "sadness"))
EMOTION = dataclasses.replace(TASKS["emotion"], label_map=MAP)
OWN = Task("own", "", None, "", "label", labels=tuple(SUPERB), labels_of_model=True)
AST = "audio-spectrogram-transformer"
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
# For each kind: model_type, further config, and the sizes of the batches that seven clips make.
KINDS: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "wav2vec2": ("wav2vec2", {}, [2, 5]),
    "wav2vec2 base": ("wav2vec2", {**BASE, "use_weighted_layer_sum": True}, [1, 1, 1, 1, 1, 2]),
    "hubert": ("hubert", {"use_weighted_layer_sum": True}, [2, 5]),
    "wavlm": ("wavlm", {}, [2, 5]),
    "unispeech-sat": ("unispeech-sat", {}, [2, 5]),
    "data2vec-audio": ("data2vec-audio", {}, [1, 1, 1, 1, 1, 2]),
    "ast": (AST, {}, [7]),
    "whisper": ("whisper", {}, [7]),
    "multi-label": ("wav2vec2", {"problem_type": "multi_label_classification"}, [2, 5]),
}


def open_cpu(folder):
    return AudioClassifier(str(folder), JobOptions(device="cpu", model_threads=1))


def answers_of(engine, clips, task):
    results = engine.annotate(clips, [task])
    answers = [result[task.name] for result in results if not isinstance(result, RowError)]
    assert len(answers) == len(clips) and all(isinstance(answer, LabelAnswer) for answer in answers)
    return answers


def pipeline_of(folder):
    return AudioClassificationPipeline(
        model=AutoModelForAudioClassification.from_pretrained(folder).eval(),
        feature_extractor=AutoFeatureExtractor.from_pretrained(folder),
        device=torch.device("cpu"),
        top_k=None,
    )


def scores_of(answer):
    return {score.label: score.score for score in answer.scores}


def probabilities_of(pipeline, samples):
    """The pipeline's probability of each of the model's labels."""
    return {label["label"]: label["score"] for label in pipeline(samples.copy())}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_the_pipelines_for_each_clip_alone(kind, tmp_path, monkeypatch):
    for name in ("CPU_BATCH_S", "CPU_WINDOWS_S"):
        monkeypatch.setattr(encoder_inputs, name, 240.0)  # batches as on a GPU
    monkeypatch.setattr(encoder_inputs, "CPU_MAX_PADDING", encoder_inputs.MAX_PADDING)
    model_type, config, sizes = KINDS[kind]
    folder = write_classifier(tmp_path, SUPERB, model_type, **config)
    check_job(Checkpoint("m", str(folder), ""), JobOptions(device="cpu"), [EMOTION], here=True)
    engine, pipeline = open_cpu(folder), pipeline_of(folder)
    seconds = (2.0, 1.93, 0.5, 1.9, 2.0, 0.47, 1.871)
    clips = [clip_of(make_samples(length, seed), str(seed)) for seed, length in enumerate(seconds)]
    batches = engine.plan_batches(segment_tasks_of([len(clip.samples) for clip in clips]))
    assert sorted(map(len, batches)) == sizes
    for clip, answer in zip(clips, answers_of(engine, clips, EMOTION), strict=True):
        probabilities = {dict(MAP)[label]: score for label, score in probabilities_of(pipeline, clip.samples).items()}
        total = sum(probabilities.values())
        assert scores_of(answer) == pytest.approx(
            {label: probabilities.get(label, 0.0) / total for label in EMOTION.labels}, abs=1e-4
        )
        assert answer.label == max(probabilities, key=probabilities.__getitem__)
        assert answer.avg_logprob == pytest.approx(math.log(probabilities[answer.label]), abs=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("classifier"), SUPERB)


def test_labels_mapped_to_one_add_up_and_unmapped_labels_are_left_out(folder):
    task = Task(
        "good", "", None, "", "label", labels=("Good ", "ANG", "bored"), label_map=(("neu", "good"), ("HAP", "Good "))
    )
    clip = clip_of(make_samples(1.0, 1))
    probabilities = probabilities_of(pipeline_of(folder), clip.samples)
    (answer,) = answers_of(open_cpu(folder), [clip], task)
    good, anger = probabilities["neu"] + probabilities["hap"], probabilities["ang"]
    total = good + anger
    assert scores_of(answer) == pytest.approx({"Good ": good / total, "ANG": anger / total, "bored": 0.0}, abs=1e-4)
    assert answer.avg_logprob == pytest.approx(math.log(max(good, anger)), abs=1e-4)


def test_several_tasks_are_answered_from_one_pass(folder):
    clip, engine = clip_of(make_samples(1.0, 1)), open_cpu(folder)
    (answers,) = engine.annotate([clip], [EMOTION, OWN])
    assert answers == {"emotion": answers_of(engine, [clip], EMOTION)[0], "own": answers_of(engine, [clip], OWN)[0]}
    assert scores_of(answers["own"]) == pytest.approx(probabilities_of(pipeline_of(folder), clip.samples), abs=1e-4)


def test_segments_are_weighted_by_their_speech(folder):
    samples = make_samples(3.0, 5)
    engine, pipeline = open_cpu(folder), pipeline_of(folder)
    parts = [probabilities_of(pipeline, samples[16_000 * n : 16_000 * (n + 1)]) for n in range(3)]
    (spoken,) = answers_of(engine, [clip_of(samples, speech=[True, False, True])], OWN)
    assert scores_of(spoken) == pytest.approx(
        {label: (parts[0][label] + parts[2][label]) / 2 for label in SUPERB}, abs=1e-4
    )
    (silent,) = answers_of(engine, [clip_of(samples, speech=[False, False, False])], OWN)
    assert scores_of(silent) == pytest.approx(
        {label: sum(part[label] for part in parts) / 3 for label in SUPERB}, abs=1e-4
    )


def test_a_segment_longer_than_the_encoders_window_is_cut_into_windows(tmp_path):
    folder = write_classifier(tmp_path, SUPERB, AST)
    engine, pipeline, samples = open_cpu(folder), pipeline_of(folder), make_samples(21.0, 2)
    short = clip_of(samples[:163_840])
    long, whole = answers_of(engine, [clip_of(samples), short], OWN)
    thirds = [probabilities_of(pipeline, part) for part in np.array_split(samples, 3)]
    assert scores_of(long) == pytest.approx(
        {label: sum(part[label] for part in thirds) / 3 for label in SUPERB}, abs=1e-4
    )
    assert scores_of(whole) == pytest.approx(probabilities_of(pipeline, short.samples), abs=1e-4)


@pytest.mark.parametrize("model_type", ["wav2vec2", AST, "whisper"])
def test_clips_of_a_few_samples_are_answered(model_type, tmp_path):
    engine = open_cpu(write_classifier(tmp_path, SUPERB, model_type))
    clips = [clip_of(make_samples(1.0, 2)[:samples]) for samples in (1, 2, 399, 400, 401, 559, 560)]
    assert all(answer.label in SUPERB for answer in answers_of(engine, clips, OWN))


def test_logarithms_of_tiny_probabilities_stay_finite():
    assert log_sum(np.array([-2000.0, -2000.0])) == pytest.approx(-2000 + math.log(2))
    assert log_sum(np.array([-0.1, -0.1])) == 0.0  # sigmoids may add up to more than 1
    assert log_sum(np.array([])) == -math.inf
    assert log_mean(np.log([[0.2, 0.8], [0.4, 0.6]])) == pytest.approx(np.log([0.3, 0.7]))
