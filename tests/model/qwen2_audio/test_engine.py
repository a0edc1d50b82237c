"""Qwen2-Audio's answers equal those of transformers, token for token, whatever the neighbours of a clip."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from earmark.model.decoding.prefix_decoder import Decoded, LabelLogprobs
from earmark.schemas.answers.label import LabelAnswer
from earmark.schemas.tasks import Task, new_task
from tests.support.audio.clips import clip_of, make_samples
from tests.support.checkpoints.qwen2_audio_reference import Generated, NotingEngine, Reference, answered, limited
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint
from tests.support.jobs import TINY

REALISTIC = {"hidden": 256, "layers": 26, "audio_hidden": 160, "audio_layers": 12}
SEEDS = {True: 6, False: 4}  # of weights whose answers differ in length
MORE_ENDS = range(3, 440, 8)  # common tokens: random weights hardly ever generate the end token
SECONDS = (0.5, 30.0, 0.51, 8.6, 8.2, 1.3, 29.99, 3.3)
LANGUAGES = (None, "en", "de-DE", None, "zh_CN", "fr", None, "en")
QUESTIONS = ("What is {this}?", "Is it loud?\nSay why.", "Describe the audio in one sentence, please: how many tones?")
NOISE = {
    "prompt": "How noisy is it, {0}?",
    "labels": ["quiet", "loud, as loud as it gets", "neither quiet nor loud but something between the two", "no"],
}
GENERATED = (
    limited("transcribe", 20),
    limited("translate", 16),
    limited("caption", 12),
    limited("analyze", 18),
    limited("chat", 14),
)
CLOSED = (limited("emotion", 5), limited("vocal_sound", 5), new_task("noise", NOISE))
SCORED = {0: CLOSED, 4: CLOSED, 1: CLOSED[2:]}  # tasks by clip that are compared with plain forwards, which are slow
CHAT_PROMPTS = {
    "transcribe": "Transcribe the speech word for word. Answer with the transcript only.",
    "translate": "Translate the speech into English. Answer with the translation only.",
    "caption": "Describe the audio in one sentence.",
    "emotion": "What is the speaker's emotion? Answer with one word of: neutral, joy, sadness, anger, surprise, fear,"
    " disgust.",
    "vocal_sound": "Which vocal sound is this? Answer with one of: Laughter, Sigh, Cough, Throat clearing, Sneeze,"
    " Sniff.",
    "noise": "How noisy is it, {0}?",
    "chat": "",
}
BASE_PROMPTS = {
    "transcribe": "Detect the language and recognize the speech: ",
    "translate": "Detect the language and translate the speech into English: ",
    "caption": "Generate the caption in English:",
    "emotion": "Recognize the emotion with keywords in English:",
    "vocal_sound": "Classify the human vocal sound to VocalSound in English:",
    "noise": "How noisy is it, {0}?",
}


@dataclass(frozen=True)
class Case:
    """A checkpoint, and what transformers generates and scores with it for each clip."""

    folder: Path
    tasks: tuple[Task, ...]
    generated: dict[tuple[str, str], Generated]
    scored: dict[tuple[str, str], dict[str, tuple[float, int]]]


def make_clips():
    return [
        clip_of(make_samples(seconds, number), str(number), language=language, prompt=QUESTIONS[number % 3])
        for number, (seconds, language) in enumerate(zip(SECONDS, LANGUAGES, strict=True))
    ]


CLIPS = make_clips()


def prompt_of(chat, task, clip):
    if task == "analyze":
        return clip.recording.prompt or ""
    if chat or task not in ("transcribe", "translate"):
        return (CHAT_PROMPTS if chat else BASE_PROMPTS)[task]
    language = clip.recording.language
    return BASE_PROMPTS[task] + (f"<|{language[:2]}|>" if language else "")


def write_realistic(folder, chat):
    """A checkpoint of random weights, whose answers end here and there: its generation config says so."""
    write_checkpoint(folder, chat, seed=SEEDS[chat], **REALISTIC)
    path = folder / "generation_config.json"
    config = json.loads(path.read_text())
    ends = config["eos_token_id"]
    config["eos_token_id"] = [*(ends if isinstance(ends, list) else [ends]), *MORE_ENDS]
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module", params=["tiny", "realistic chat", "realistic base"])
def case(request, tmp_path_factory):
    chat = request.param != "realistic base"
    folder = TINY if request.param == "tiny" else write_realistic(tmp_path_factory.mktemp("realistic"), chat)
    reference = Reference(folder, chat)
    assert request.param == "tiny" or reference.parameters >= 30e6
    free_text = GENERATED if chat else GENERATED[:-1]
    generated = {
        (clip.recording.id, task.name): reference.generate(clip, prompt_of(chat, task.name, clip), task.max_new_tokens)
        for clip in CLIPS
        for task in free_text
    }
    scored = {
        (CLIPS[number].recording.id, task.name): {
            label: reference.score(CLIPS[number], prompt_of(chat, task.name, CLIPS[number]), label)
            for label in task.labels
        }
        for number, tasks in SCORED.items()
        for task in tasks
    }
    return Case(folder, (*free_text, *CLOSED), generated, scored)


@pytest.mark.slow
@pytest.mark.parametrize(("together", "batch_s"), [(1, 1e4), (3, 1e4), (8, 1e4), (8, 90.0)])
def test_answers_are_those_of_transformers_for_the_clip_and_the_prompt_alone(case, together, batch_s, caplog):
    engine = NotingEngine(case.folder, batch_s=batch_s)
    with caplog.at_level(logging.DEBUG, "earmark"):
        answers = [
            answer
            for start in range(0, len(CLIPS), together)
            for answer in answered(engine, CLIPS[start : start + together], case.tasks)
        ]
    sizes = [record.args[0] for record in caplog.records if "with padding" in record.msg]
    assert max(sizes) == together if batch_s == 1e4 else 1 < max(sizes) < together
    for (id, name), expected in case.generated.items():
        _assert_generates(engine.noted[id][name], answers[int(id)][name], expected)
    for (id, name), weights in case.scored.items():
        _assert_scores(engine.noted[id][name], answers[int(id)][name], weights)


def _assert_generates(decoded, answer, expected):
    assert isinstance(decoded, Decoded)
    assert (decoded.tokens, decoded.truncated) == (expected.tokens, expected.truncated)
    assert decoded.logprob_sum / decoded.token_count == pytest.approx(expected.avg_logprob, abs=1e-4)
    assert not isinstance(answer, LabelAnswer)
    assert answer.text == expected.text
    assert answer.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)


def _assert_scores(result, answer, expected):
    """`expected` has the log-likelihood and the number of tokens of each label."""
    assert isinstance(result, LabelLogprobs) and isinstance(answer, LabelAnswer)
    logprobs = [logprob for logprob, _ in expected.values()]
    assert result.logprobs == pytest.approx(logprobs, rel=1e-6, abs=1e-4)  # sums of float32 over up to 31 tokens
    total = math.fsum(math.exp(logprob) for logprob, _ in expected.values())
    scores = {label: math.exp(logprob) / total for label, (logprob, _) in expected.items()}
    assert [item.label for item in answer.scores] == list(scores)
    assert [item.score for item in answer.scores] == pytest.approx(list(scores.values()), abs=1e-4)
    assert answer.label == max(scores, key=lambda label: scores[label])
    assert answer.score == pytest.approx(scores[answer.label], abs=1e-4)
    logprob, tokens = expected[answer.label]
    assert answer.avg_logprob == pytest.approx(logprob / tokens, abs=1e-4)


@pytest.mark.slow
def test_the_checkpoints_exercise_the_engine(case):
    """Some answers are truncated, some end soon, no two clips have the same answers, labels differ in length."""
    lengths = [len(item.tokens) for item in case.generated.values()]
    assert min(lengths) <= 4 and max(lengths) >= 11 and len(set(lengths)) >= 5
    assert len({item.tokens for item in case.generated.values()}) > 10
    assert all(len({tokens for _, tokens in case.scored[id, "noise"].values()}) > 2 for id in ("0", "1", "4"))


@pytest.mark.slow
def test_neighbours_order_and_other_tasks_do_not_matter(case):
    engine = NotingEngine(case.folder)
    answered(engine, CLIPS, case.tasks)
    first, engine.noted = engine.noted, {}
    answered(engine, [*CLIPS[:4:-1], *CLIPS[:3]], case.tasks[::-1])
    _assert_same(engine.noted, first)
    engine.noted = {}
    for task in case.tasks:
        answered(engine, CLIPS[:1], [task])
        _assert_same(engine.noted, first)


def _assert_same(noted, expected):
    assert noted
    for id, results in noted.items():
        for name, result in results.items():
            same = expected[id][name]
            if isinstance(result, LabelLogprobs):
                assert result.logprobs == pytest.approx(same.logprobs, abs=1e-4)
            else:
                assert result.tokens == same.tokens
                assert result.logprob_sum == pytest.approx(same.logprob_sum, abs=1e-3)
