"""Flags, out-of-memory errors, threads and padding of the Qwen2-Audio engine."""

import dataclasses
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import earmark.model.qwen2_audio.network
from earmark.schemas.answers.label import LabelAnswer
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.clips import clip_of, make_samples
from tests.support.checkpoints.qwen2_audio_reference import TASKS, answered, generating, limited, open_cpu
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint

pytestmark = pytest.mark.model

ALL = (limited("transcribe", 6), limited("caption", 6), TASKS["emotion"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("chat"), chat=True)


@pytest.fixture
def engine(folder):
    return open_cpu(folder)


def clips_of(seconds):
    return [clip_of(make_samples(length, seed), str(seed)) for seed, length in enumerate(seconds)]


def assert_same(answers, expected):
    assert answers.keys() == expected.keys()
    for answer, other in zip(answers.values(), expected.values(), strict=True):
        if isinstance(answer, LabelAnswer):
            assert isinstance(other, LabelAnswer)
            scores = {score.label: score.score for score in other.scores}
            assert {score.label: score.score for score in answer.scores} == pytest.approx(scores, abs=1e-4)
        else:
            assert not isinstance(other, LabelAnswer)
            assert (answer.text, answer.flags) == (other.text, other.flags)
            assert answer.avg_logprob == pytest.approx(other.avg_logprob, abs=1e-4)


def test_without_speech_there_is_a_caption_and_no_transcript(engine):
    silent = clip_of(make_samples(2.0, 1), speech=[False])
    transcript, caption, emotion = answered(engine, [silent], ALL)[0].values()
    assert isinstance(transcript, Transcript) and isinstance(caption, TextAnswer) and isinstance(emotion, LabelAnswer)
    assert (transcript.text, transcript.segments, transcript.avg_logprob) == ("", (), None)
    assert transcript.flags == ("no_speech",)
    assert caption.text and emotion.label
    assert answered(engine, [silent], ALL[:1])[0]["transcribe"] == transcript


def test_free_labels_are_text_answers(engine):
    (task,) = JobOptions(task=("emotion",), free_labels=True).tasks()
    (clip,) = clips_of([1.0])
    answer = answered(engine, [clip], [dataclasses.replace(task, max_new_tokens=5)])[0]["emotion"]
    assert isinstance(answer, TextAnswer)
    same_prompt = dataclasses.replace(limited("analyze", 5), question=TASKS["emotion"].chat_prompt)
    analysis = answered(engine, [clip], [same_prompt])[0]["analyze"]
    assert (answer.text, answer.prompt) == (analysis.text, TASKS["emotion"].chat_prompt)


@pytest.mark.parametrize(
    ("token", "limit", "flags", "no_text"),
    [
        ("ab", 4, {"truncated"}, False),
        ("ab", 60, {"truncated", "repetition", "too_fast"}, False),
        ("<|im_end|>", 4, {"empty"}, True),
        ("<|endoftext|>", 4, {"empty"}, True),
        ("<|en|>", 4, {"empty", "truncated"}, True),
    ],
)
def test_doubtful_answers_are_flagged(engine, token, limit, flags, no_text):
    token = token if token.startswith("<|") else "a"
    tasks = (limited("transcribe", limit), limited("caption", limit))
    transcript, caption = answered(generating(engine, token), clips_of([1.0]), tasks)[0].values()
    assert isinstance(transcript, Transcript) and isinstance(caption, TextAnswer)
    assert set(caption.flags) == flags - {"too_fast"}
    assert set(transcript.flags) == flags - {"no_speech"} | ({"no_speech"} if no_text else set())
    assert transcript.text == caption.text == ("" if no_text else "a" * limit)


def test_an_answer_that_ends_at_its_limit_is_not_truncated(engine):
    caption = answered(generating(engine, "<|im_end|>"), clips_of([1.0]), [limited("caption", 1)])[0]["caption"]
    assert caption.flags == ("empty",)


def out_of_memory(monkeypatch, when, error):
    """Make the encoder fail; return the list in which the clips of each call are counted."""
    real, calls = earmark.model.qwen2_audio.network.encode_audio, []

    def encode(network, mels, frames):
        calls.append(len(frames))
        if when(frames):
            raise error
        return real(network, mels, frames)

    monkeypatch.setattr(earmark.model.qwen2_audio.network, "encode_audio", encode)
    return calls


def test_running_out_of_memory_halves_the_batch(engine, monkeypatch):
    clips = clips_of([1.0] * 7)
    undisturbed = answered(engine, clips, ALL)
    error = torch.OutOfMemoryError("CUDA out of memory")
    calls = out_of_memory(monkeypatch, lambda frames: len(frames) > 2, error)
    for answers, expected in zip(answered(engine, clips, ALL), undisturbed, strict=True):
        assert_same(answers, expected)
    assert calls[0] == 7 and sum(size for size in calls if size <= 2) == 7


def test_a_clip_too_large_for_the_device_fails_alone(engine, monkeypatch):
    clips = clips_of([1.0, 2.0, 1.5, 1.0])
    undisturbed = answered(engine, clips, ALL)
    out_of_memory(monkeypatch, lambda frames: 200 in frames.tolist(), torch.OutOfMemoryError("out of memory"))
    results = engine.annotate(clips, ALL)
    assert isinstance(results[1], RowError) and results[1].error == "out_of_memory"
    for index in (0, 2, 3):
        answers = results[index]
        assert not isinstance(answers, RowError)
        assert_same(answers, undisturbed[index])


def test_another_failure_of_the_device_is_a_machine_error(engine, monkeypatch):
    with monkeypatch.context() as broken:
        out_of_memory(broken, lambda frames: True, RuntimeError("CUDA error: an illegal memory access"))
        with pytest.raises(MachineError, match="illegal memory access"):
            engine.annotate(clips_of([1.0, 2.0]), ALL)
    answered(engine, clips_of([1.0]), ALL)  # the model is free again


def test_several_threads_get_the_same_answers(engine, monkeypatch):
    shards = [clips_of([1.0, 2.0, 0.7, 1.0]), clips_of([3.0, 0.5, 2.0])]
    alone = [answered(engine, clips, ALL) for clips in shards]
    both, busy = threading.Barrier(2, timeout=60), threading.Lock()
    real = earmark.model.qwen2_audio.network.encode_audio

    def encode(*arguments):
        assert busy.acquire(blocking=False), "two threads use one replica of the model"
        try:
            return real(*arguments)
        finally:
            busy.release()

    def annotate(clips):
        both.wait()
        return answered(engine, clips, ALL)

    monkeypatch.setattr(earmark.model.qwen2_audio.network, "encode_audio", encode)
    with ThreadPoolExecutor(2) as threads:
        for _ in range(3):
            for results, expected in zip(threads.map(annotate, shards), alone, strict=True):
                for answers, expected_answers in zip(results, expected, strict=True):
                    assert_same(answers, expected_answers)


def test_the_audio_of_a_shard_has_at_most_five_percent_of_padding(engine, caplog):
    random = np.random.default_rng(0)
    seconds = np.clip(random.lognormal(np.log(4.7), 0.45, 128), 1.0, 30.0)
    clips = [clip_of(np.zeros(round(length * SAMPLE_RATE_HZ), np.float32), str(length)) for length in seconds]
    with caplog.at_level(logging.DEBUG, "earmark"):
        answered(engine, clips, [limited("caption", 1)])
    numbers = np.array([record.args for record in caplog.records if "with padding" in record.msg], float)
    segments, audio_s, padded_s = numbers.sum(0)
    assert segments == 128 and audio_s == pytest.approx(seconds.sum(), abs=0.1)
    assert 1 <= padded_s / audio_s <= 1.05
