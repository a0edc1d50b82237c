"""The corpus of examples/tiny-qwen2-audio: its held-out parts, its augmentation and its checkpoint."""

import ctypes
import itertools
import random
import sys

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from tests.support.jobs import manifest_lines
from tests.support.paths import ROOT

# The folder holds scripts and is not a package.
sys.path.append(str(ROOT / "examples" / "tiny-qwen2-audio" / "training"))
import augment
import corpus
import held_out_figures
import log_mel
import packing
import prompts
import sounds
import tiny_model
import training_set

CHECKPOINT = ROOT / "examples" / "tiny-qwen2-audio"
SCENES = CHECKPOINT.parent / "scenes"


def _has_espeak():
    try:
        ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        return False
    return True


needs_espeak = pytest.mark.skipif(not _has_espeak(), reason="libespeak-ng.so.1 is not installed")


def test_held_out_voices_are_not_trained_on():
    trained = set(itertools.chain(*corpus.TRAINING_VOICES.values()))
    for gender, voices in corpus.HELD_OUT_VOICES.items():
        assert voices, gender
        assert not trained & set(voices)


def test_one_word_order_in_eight_is_held_out_and_no_single_word():
    pairs = list(itertools.product(corpus.WORDS, repeat=2))
    held_out = [pair for pair in pairs if corpus.is_held_out_order(pair)]
    assert 0.09 < len(held_out) / len(pairs) < 0.16
    assert set(itertools.chain(*held_out)) == set(corpus.WORDS)
    assert not any(corpus.is_held_out_order((word,)) for word in corpus.WORDS)
    assert corpus.is_held_out_order(("down", "next", "open", "yes", "eight"))  # the rule itself must not change


def test_every_part_of_a_held_out_mixture_is_trained_on():
    trained = set(corpus.MIXTURES) - set(corpus.HELD_OUT_MIXTURES)
    assert (len(trained), len(corpus.HELD_OUT_MIXTURES), len(corpus.MIXTURES)) == (16, 8, 24)
    for part, whole in (("emotion", corpus.EMOTIONS), ("rate", corpus.RATES_WPM), ("colour", sounds.NOISES)):
        for mixtures in (trained, corpus.HELD_OUT_MIXTURES):
            assert {getattr(mixture, part) for mixture in mixtures} == set(whole)


def test_emotions_are_labels_of_meld():
    assert set(corpus.EMOTIONS) == {"neutral", "joy", "sadness", "anger"}
    assert set(corpus.EMOTIONS) < set(prompts.LABELS)


@pytest.mark.parametrize("task", prompts.TASKS)
def test_three_prompts_of_each_task_do_not_occur_in_training(task):
    held_out = {prompt.lower().rstrip(".?:") for prompt in prompts.HELD_OUT_PROMPTS[task]}
    trained = {*prompts.paraphrases(task), prompts.CHAT_PROMPTS[task], prompts.BASE_PROMPTS[task]}
    assert len(held_out) == 3
    assert len(trained) > 1000
    assert not held_out & {prompt.lower().rstrip(".?:") for prompt in trained}
    choice, pool = random.Random(0), prompts.paraphrases(task)
    drawn = {prompts.draw_prompt(choice, task, base, pool) for base in (False, True) for _ in range(3000)}
    assert not held_out & {prompt.lower().rstrip(".?:") for prompt in drawn}
    assert not set(prompts.HELD_OUT_PROMPTS[task]) & set(prompts.training_texts())


@needs_espeak
@pytest.mark.parametrize("split", corpus.SPLITS)
def test_clips_match_their_split(split):
    held_out = split == "held_out"
    clips = [corpus.make_clip(split, index) for index in range(120)]
    voices = corpus.HELD_OUT_VOICES if held_out else corpus.TRAINING_VOICES
    for clip in clips:
        assert clip.samples.dtype == np.float32
        assert np.abs(clip.samples).max() <= (0.5 if clip.is_speech else 0.9)
        assert 0.5 < len(clip.samples) / corpus.SAMPLE_RATE_HZ < 5
        assert clip.caption in corpus.CAPTIONS
        if not clip.is_speech:
            assert (clip.text, clip.emotion) == (corpus.NO_SPEECH, "neutral")
            continue
        words = tuple(clip.text.split())
        assert set(words) <= set(corpus.WORDS)
        assert clip.voice in itertools.chain(*voices.values())
        assert corpus.is_held_out_order(words) == held_out
        assert ("noise" in clip.caption) == (clip.colour is not None)
        if clip.colour:
            mixture = corpus.Mixture(clip.emotion, clip.rate, clip.colour)
            assert (mixture in corpus.HELD_OUT_MIXTURES) == held_out
    speech = [clip for clip in clips if clip.is_speech]
    assert {clip.emotion for clip in speech} == set(corpus.EMOTIONS)
    assert 0.5 < len(speech) / len(clips) < 0.95


@needs_espeak
def test_a_clip_depends_only_on_its_index():
    """espeak's own state moves the ends of words by less than a tenth of a second; nothing else differs."""
    first = [corpus.make_clip("held_out", index) for index in range(12)]
    second = [corpus.make_clip("held_out", index) for index in reversed(range(12))][::-1]
    for clips in zip(first, second, strict=True):
        labels = [(clip.text, clip.caption, clip.emotion, clip.voice) for clip in clips]
        assert labels[0] == labels[1]
        assert abs(len(clips[0].samples) - len(clips[1].samples)) < 0.1 * corpus.SAMPLE_RATE_HZ


@pytest.mark.parametrize("kind", sounds.EVENTS)
def test_events_are_audible_and_below_full_scale(kind):
    for seed in range(5):
        samples = sounds.event(np.random.default_rng(seed), kind)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() < 0.9
        assert (np.abs(samples).max() > 0.01) == (kind != "silence")


def _scene():
    return sounds.event(np.random.default_rng(3), "music")


def test_spectrograms_equal_those_of_the_feature_extractor():
    samples = _scene()
    extractor = WhisperFeatureExtractor(feature_size=log_mel.MEL_BINS, return_attention_mask=True)
    expected = extractor(samples, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
    frames = log_mel.frames_of(len(samples))
    ours = log_mel.scale(log_mel.log_power(samples))
    assert frames == int(expected["attention_mask"].sum())
    assert ours.shape == (128, frames + 2)
    torch.testing.assert_close(ours, expected["input_features"][0, :, : ours.shape[1]], rtol=0, atol=1e-5)


def test_augmenting_the_spectrogram_equals_augmenting_the_samples():
    samples, before, after = _scene(), 50, 30

    class Chosen(random.Random):
        def uniform(self, low, high):
            return -7.0  # the gain in dB

        def random(self):
            return 1.0  # never below a probability

    silence = [np.zeros(frames * log_mel.HOP_SAMPLES, np.float32) for frames in (before, after)]
    augmented = np.concatenate([silence[0], samples * 10 ** (-7 / 20), silence[1]]).astype(np.float32)
    expected = log_mel.scale(log_mel.log_power(augmented))
    plan = augment.Plan(0, log_mel.frames_of(len(samples)), before, after, disturbed=True)
    ours = augment.prepare(Chosen(), log_mel.log_power(samples), plan, expected.shape[1])
    # At the start of the clip the extractor pads by reflection, so the frames there differ from those after silence.
    after_start = slice(before + 2, None)
    torch.testing.assert_close(ours[:, after_start], expected[:, after_start], rtol=0, atol=1e-3)
    assert (ours - expected).abs().mean() < 5e-3


@pytest.mark.model
def test_a_branch_of_a_packed_row_gets_the_same_result_as_alone():
    torch.manual_seed(0)
    tokenizer = tiny_model.make_tokenizer()
    model = tiny_model.make_model(tokenizer).eval()
    spectrograms = [log_mel.log_power(sounds.event(np.random.default_rng(seed), "knocks")) for seed in range(2)]
    labels, first = [], 0
    for spectrogram in spectrograms:
        frames = spectrogram.shape[1] - log_mel.TAIL_FRAMES
        labels.append(training_set.Label(first, frames, "one two", "Someone is knocking.", "joy", 2))
        first += spectrogram.shape[1]
    joined = torch.cat(spectrograms, dim=1).T.half().contiguous().numpy()
    packer = packing.Packer(training_set.TrainingSet(joined, tuple(labels)), tokenizer, random.Random(0))
    batch = packer.batch([augment.Plan(index, label.frames) for index, label in enumerate(labels)])

    audio, _, tokens = tiny_model.encode(model, batch.mels, batch.frames)
    mask, positions = packing.layout(batch, tokens, audio.shape[1])
    language_model, embed = model.model.language_model, model.model.language_model.embed_tokens
    row = torch.cat([embed(batch.prefix).expand(2, -1, -1), audio, embed(batch.branches.tokens)], dim=1)
    packed = language_model(inputs_embeds=row, attention_mask=mask, position_ids=positions).last_hidden_state
    for clip, branch in itertools.product(range(2), range(3)):
        own = batch.branches.branch[clip] == branch
        parts = [embed(batch.prefix), audio[clip, : tokens[clip]], embed(batch.branches.tokens[clip, own])]
        alone = language_model(inputs_embeds=torch.cat(parts)[None]).last_hidden_state[0, -int(own.sum()) :]
        torch.testing.assert_close(packed[clip, -len(own) :][own], alone, rtol=0, atol=1e-4)


def test_scores_count_words_and_clips():
    truths = [
        held_out_figures.Answers("one two", "a", "joy"),
        held_out_figures.Answers(corpus.NO_SPEECH, "Silence.", "neutral"),
    ]
    answers = [
        held_out_figures.Answers("One three", "a", "anger"),
        held_out_figures.Answers("two", "Silence.", "neutral"),
    ]
    percents = {name: figure.percent for name, figure in held_out_figures.figures(truths * 20, answers * 20).items()}
    assert percents == {"wer": 50.0, "caption": 100.0, "emotion": 0.0, "emotion_all": 50.0, "no_speech": 0.0}


@pytest.mark.model
def test_the_checkpoint_is_small_safe_and_complete():
    files = [path for path in CHECKPOINT.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    assert {path.suffix for path in files} <= {".json", ".jinja", ".md", ".safetensors"}
    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    model, loading = Qwen2AudioForConditionalGeneration.from_pretrained(CHECKPOINT, output_loading_info=True)
    assert not any(loading.values())
    assert model.dtype == torch.float16
    tokenizer = processor.tokenizer
    assert tokenizer.padding_side == "left"
    assert processor.feature_extractor.feature_size == 128
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert model.generation_config.eos_token_id == ends
    assert model.generation_config.do_sample is False
    assert model.config.audio_token_id == tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    assert len(tokenizer.encode("<|en|>")) == 1


@pytest.mark.model
def test_the_checkpoint_answers_the_first_scenes_in_transformers():
    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    model = Qwen2AudioForConditionalGeneration.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()
    rows = manifest_lines(SCENES / "manifest.jsonl")
    right = 0
    for row in rows[:4]:
        samples, rate_hz = soundfile.read(SCENES / row["audio_filepath"], dtype="float32")
        assert rate_hz == 16_000
        for task, column in zip(prompts.TASKS, ("text", "caption", "emotion"), strict=True):
            content = [{"type": "audio", "audio_url": ""}, {"type": "text", "text": prompts.CHAT_PROMPTS[task]}]
            text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
            inputs = processor(text=[text], audio=[samples], sampling_rate=rate_hz, return_tensors="pt")
            answer = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
            right += processor.decode(answer, skip_special_tokens=True) == row[column]
    assert right >= 11


def test_scenes_are_small_and_complete():
    rows = manifest_lines(SCENES / "manifest.jsonl")
    assert {row["audio_filepath"] for row in rows} == {path.name for path in SCENES.glob("*.flac")}
    assert sum(path.stat().st_size for path in SCENES.iterdir()) <= 1_500_000
    assert len(rows) == 16
    assert {row["emotion"] for row in rows} == set(corpus.EMOTIONS)
