"""The engine of served models, against a server whose answers depend on the audio."""

import dataclasses

import numpy as np
import pytest

from earmark.model.served.endpoint import find_endpoint
from earmark.model.served.wav import wav_of
from earmark.model.source import check_options, check_source, find_source, open_source
from earmark.schemas.answers.label import LabelAnswer
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import BUILT_IN, MELD_EMOTIONS, new_task
from tests.support.audio.clips import clip_of, make_samples
from tests.support.jobs import describe_samples
from tests.support.servers.misbehaving_server import (
    MODEL,
    Answer,
    completion,
    correct,
    in_turn,
    misbehaving_server,
    refused,
    tokens_of,
)

TASKS = {task.name: task for task in BUILT_IN}
JOY = tokens_of([("joy", 0.5), ("fear", 0.25), ("Joy", 0.125), ("the", 0.125)])


@pytest.fixture
def server():
    with misbehaving_server() as server:
        yield server


def exact(samples):
    """Samples that 16 bits hold."""
    return np.asarray(np.rint(samples * 32768) / 32768, np.float32)


def make_clips(count, **fields):
    return [clip_of(exact(make_samples(0.9 - 0.03 * n, n)), str(n), **fields) for n in range(count)]


def annotate_by(url, clips, *tasks, **options):
    engine = open_source(find_endpoint(url), JobOptions(**options))
    return engine.annotate(clips, tasks)


def labelled(server, answer, *segments, task=TASKS["emotion"]):
    """The engine's answers where the server's reply to a request for a label is `answer`."""
    server.behave = in_turn(answer)
    return annotate_by(server.chat, [clip_of(exact(make_samples(1.0, 0)), speech=segments or (True,))], task)[0]


def test_audio_of_16_bits_reaches_the_server_bit_by_bit_and_louder_audio_is_clipped(server):
    samples = exact(make_samples(0.5, 3))
    annotate_by(server.chat, [clip_of(samples)], TASKS["caption"])
    assert np.array_equal(server.requests[0].samples, samples)
    loud = wav_of(np.array([1.5, 1.0, -1.0, -1.5], np.float32))
    assert np.frombuffer(loud[-8:], "<i2").tolist() == [32767, 32767, -32768, -32768]


@pytest.mark.parametrize("requests", [1, 5])
def test_each_clip_has_the_answer_to_its_own_audio_and_question(server, requests):
    clips = make_clips(15)
    server.behave = lambda request: (
        completion(f"{request.prompt} {request.audio}") if request.path != "/models" else correct(request)
    )
    tasks = (TASKS["transcribe"], TASKS["caption"])
    answers = annotate_by(server.chat, clips, *tasks, endpoint_requests=requests)
    for clip, answer in zip(clips, answers, strict=True):
        for task in tasks:
            assert answer[task.name].text == f"{task.chat_prompt} {describe_samples(clip.samples)}"
    assert server.most_at_once <= requests
    assert len(server.requests) == 30


def test_a_request_has_the_prompt_temperature_0_and_the_limit_of_tokens(server):
    tasks = (TASKS["chat"], dataclasses.replace(TASKS["caption"], max_new_tokens=9), TASKS["emotion"])
    server.behave = lambda request: completion("joy", logprobs=JOY)
    annotate_by(server.chat, make_clips(1), *tasks, endpoint_requests=1)
    chat, caption, emotion = server.requests
    assert (chat.prompt, caption.prompt) == ("", "Describe the audio in one sentence.")
    assert caption.fields == {"model": MODEL, "max_tokens": 9, "temperature": 0}
    assert emotion.fields == {**caption.fields, "max_tokens": 256, "logprobs": True, "top_logprobs": 20}


def test_answers_have_the_times_of_their_segments_and_silence_no_transcript(server):
    server.behave = lambda request: completion(
        f"{len(request.samples)} {'words' if 'word' in request.prompt else 'sounds'} "
    )
    clip = clip_of(make_samples(3.0, 1), speech=(True, False, True), offset_s=10.0, language="en-US")
    (answer,) = annotate_by(server.chat, [clip], TASKS["transcribe"], TASKS["caption"])
    transcript, caption = answer["transcribe"], answer["caption"]
    assert isinstance(transcript, Transcript) and isinstance(caption, TextAnswer)
    assert (transcript.text, transcript.language, transcript.avg_logprob) == ("16000 words 16000 words", "en", None)
    assert [(segment.start_s, segment.end_s) for segment in transcript.segments] == [(10.0, 11.0), (12.0, 13.0)]
    assert (caption.text, caption.prompt) == (" ".join(["16000 sounds"] * 3), TASKS["caption"].chat_prompt)


@pytest.mark.parametrize(
    ("answer", "flags"),
    [
        (completion("cut", "length"), ("truncated",)),
        (completion(""), ("empty",)),
        (completion(None, "length"), ("empty", "truncated")),
        (completion("la " * 300), ("repetition",)),
        (completion("a dog"), ()),
    ],
)
def test_odd_answers_are_flagged(server, answer, flags):
    server.behave = in_turn(answer)
    assert annotate_by(server.chat, make_clips(1), TASKS["caption"])[0]["caption"].flags == flags


def test_labels_have_scores_where_the_server_returns_logprobs(server):
    answer = labelled(server, completion("Joy.", logprobs=JOY))["emotion"]
    assert isinstance(answer, LabelAnswer)
    assert (answer.label, answer.score) == ("joy", pytest.approx(0.625 / 0.875))
    assert {score.label: score.score for score in answer.scores} == pytest.approx(
        {**dict.fromkeys(MELD_EMOTIONS, 0.0), "joy": 0.625 / 0.875, "fear": 0.25 / 0.875}
    )
    assert answer.avg_logprob == pytest.approx(np.log(0.625))


def test_labels_have_no_scores_where_the_server_returns_no_logprobs(server):
    assert labelled(server, completion("Joy."), True, False)["emotion"] == LabelAnswer("joy", None, (), None)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (completion("The speaker is happy\n about it."), "'The speaker is happy about it.'"),
        (completion(""), "''"),
        (completion("joyful", logprobs=JOY), "'joyful'"),
    ],
)
def test_a_label_outside_the_set_is_the_rows_failure(server, answer, text):
    failed = labelled(server, answer)
    assert isinstance(failed, RowError)
    assert (failed.error, failed.message) == (
        "label",
        f"the answer to emotion is {text}, which is not one of the labels",
    )


def test_one_refused_clip_among_good_ones_is_one_failure(server):
    clips = make_clips(8)
    bad = describe_samples(clips[3].samples)
    server.behave = lambda request: refused(400, "no") if request.audio == bad else correct(request)
    answers = annotate_by(server.chat, clips, TASKS["transcribe"], TASKS["caption"])
    assert [isinstance(answer, RowError) for answer in answers] == [n == 3 for n in range(8)]


def test_a_server_that_stays_busy_fails_the_shard_so_that_the_runner_retries_it(server):
    server.behave = in_turn(None, None, refused(429))
    with pytest.raises(MachineError, match="busy or down"):
        annotate_by(server.chat, make_clips(5), TASKS["caption"])


def test_a_transcriber_gets_the_language_and_translates_into_english(server):
    clips = [*make_clips(1, language="de-CH"), *make_clips(1)]
    tasks = JobOptions(task=("transcribe", "translate"), language="fr").tasks()
    german, french = annotate_by(server.transcriptions, clips, *tasks, endpoint_requests=1, language="fr")
    assert german["transcribe"].text == french["translate"].text == describe_samples(clips[0].samples)
    assert (german["transcribe"].language, french["transcribe"].language) == ("de", "fr")
    assert german["translate"].language == "en"
    requests = [(request.path.removeprefix("/audio/"), request.fields.get("language")) for request in server.requests]
    assert requests == [
        ("transcriptions", "de"),
        ("translations", None),
        ("transcriptions", "fr"),
        ("translations", None),
    ]


def test_a_row_with_a_bad_language_or_no_prompt_fails_alone(server):
    samples = make_samples(0.3, 0)
    clips = [clip_of(samples, language="Klingon"), clip_of(samples, prompt="Who?"), clip_of(samples)]
    first, second, third = annotate_by(server.chat, clips, TASKS["transcribe"], TASKS["analyze"])
    assert isinstance(first, RowError) and first.message.startswith("'Klingon' is not a language code")
    assert second["analyze"].prompt == "Who?"
    assert isinstance(third, RowError) and third.message.startswith("the row has no prompt")


def test_without_clips_no_request_is_sent(server):
    assert annotate_by(server.chat, [], TASKS["caption"]) == []
    silent = clip_of(make_samples(0.3, 0), speech=(False,))
    assert annotate_by(server.chat, [silent], TASKS["transcribe"])[0]["transcribe"].flags == ("no_speech",)
    assert server.requests == []


def checked(url, *tasks, here=True, **options):
    return check_source(find_endpoint(url), JobOptions(**options), tasks, here)


def test_a_job_of_every_possible_task_passes(server):
    tasks = tuple(task for task in BUILT_IN if task.name != "embed")
    assert checked(server.chat, *tasks) == tasks
    assert checked(server.transcriptions, TASKS["transcribe"], TASKS["translate"]) == tasks[:2]
    assert server.paths() == ["/models", "/models"]
    server.behave = lambda request: Answer(b'{"data": []}') if request.path == "/models" else correct(request)
    checked(server.chat, *tasks)
    checked(server.transcriptions, TASKS["transcribe"])
    tried = [(request.path, request.audio) for request in server.requests if request.samples is not None]
    silence = "16000 samples, peak 0.00"
    assert tried == [("/chat/completions", silence), ("/audio/transcriptions", silence)]


def test_for_a_job_that_runs_elsewhere_no_request_is_sent_from_here(server):
    checked(server.chat, TASKS["caption"], here=False)
    assert server.requests == []


def test_an_impossible_job_is_refused_without_a_request(server):
    with pytest.raises(JobError, match=r"which answers in text; for embed name another model"):
        checked(server.chat, TASKS["caption"], TASKS["embed"])
    with pytest.raises(JobError, match=r"transcribes and translates into English; for caption, emotion name another"):
        checked(server.transcriptions, TASKS["transcribe"], TASKS["caption"], TASKS["emotion"])
    with pytest.raises(JobError, match=r"for translate name another model"):
        checked(server.transcriptions, *JobOptions(task=("translate",), translate_to="de").tasks())
    with pytest.raises(JobError, match=r"task language: .* answer 'C\+\+' cannot be distinguished from 'C'"):
        checked(server.chat, new_task("language", {"prompt": "Which?", "labels": ["C", "C++"]}))
    with pytest.raises(JobError, match=r"--language=Klingon does not work: 'Klingon' is not a language code"):
        checked(server.chat, TASKS["transcribe"], language="Klingon")
    for option in ({"beam_size": 5}, {"timestamps": True}):
        with pytest.raises(JobError, match="does not work: http://"):
            check_options([find_endpoint(server.chat)], JobOptions(**option))
    assert server.requests == []


@pytest.mark.parametrize("option", [{"endpoint_requests": 3}, {"endpoint_timeout_s": 5.0}])
def test_options_of_endpoints_are_refused_where_no_model_is_served(server, option):
    (name, value), *_ = option.items()
    options = JobOptions(**option)
    tiny = find_source("whisper-tiny.en")
    with pytest.raises(JobError, match=rf"--{name}={value} does not work: whisper-tiny.en is not served by an end"):
        check_options([tiny], options)
    check_options([tiny, find_endpoint(server.chat)], options)
