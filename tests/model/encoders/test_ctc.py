"""CTC models against transformers' own pipeline, one clip at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoFeatureExtractor,
    AutomaticSpeechRecognitionPipeline,
    AutoModelForCTC,
    AutoTokenizer,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.encoders import inputs as encoder_inputs
from earmark.model.encoders.ctc import Ctc, check_job
from earmark.model.encoders.ctc_text import choose_language
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.clips import clip_of, clips_of, make_samples
from tests.support.checkpoints.qwen2_audio_reference import TASKS
from tests.support.checkpoints.small_encoders import write_ctc, write_mms

pytestmark = pytest.mark.model

TRANSCRIBE = [TASKS["transcribe"]]
SECONDS = (2.0, 1.93, 0.5, 1.9, 2.0, 0.47, 1.871)
# For each kind: model_type, further config, and whether its batches are padded.
KINDS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "wav2vec2": ("wav2vec2", {}, True),
    "wav2vec2 base": ("wav2vec2", {"feat_extract_norm": "group", "do_stable_layer_norm": False}, False),
    "wav2vec2 with an adapter": ("wav2vec2", {"add_adapter": True, "num_adapter_layers": 1}, False),
    "hubert": ("hubert", {}, True),
    "hubert with batch norm": ("hubert", {"conv_pos_batch_norm": True}, False),
    "wavlm": ("wavlm", {}, True),
    "unispeech": ("unispeech", {}, True),
    "unispeech-sat": ("unispeech-sat", {}, True),
    "data2vec-audio": ("data2vec-audio", {}, False),
    "sew": ("sew", {}, False),
    "sew-d": ("sew-d", {}, False),
    "wav2vec2-conformer": ("wav2vec2-conformer", {}, False),
    "wav2vec2-bert": ("wav2vec2-bert", {}, True),
}


def open_cpu(folder, **options):
    return Ctc(str(folder), JobOptions(device="cpu", model_threads=1, **options))


def transcripts(engine, clips):
    results = engine.annotate(clips, TRANSCRIBE)
    answers = [result["transcribe"] for result in results if not isinstance(result, RowError)]
    assert len(answers) == len(clips) and all(isinstance(answer, Transcript) for answer in answers)
    return answers


def pipeline_of(folder):
    return AutomaticSpeechRecognitionPipeline(
        AutoModelForCTC.from_pretrained(folder).eval(),
        feature_extractor=AutoFeatureExtractor.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device=torch.device("cpu"),
    )


def make_clips():
    return clips_of(SECONDS)


WITHOUT_MASKS = ("wav2vec2", "wav2vec2 base", "wavlm")  # some of their checkpoints' feature extractors make no masks


@pytest.mark.parametrize(
    ("kind", "masks"), [*((kind, True) for kind in KINDS), *((kind, False) for kind in WITHOUT_MASKS)]
)
def test_text_and_times_equal_the_pipelines_for_each_clip_alone(kind, masks, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_inputs, "CPU_MAX_PADDING", encoder_inputs.MAX_PADDING)  # batches as on a GPU
    model_type, config, padded = KINDS[kind]
    folder = write_ctc(tmp_path, model_type, masks=masks, **config)
    check_job(Checkpoint("m", str(folder), ""), JobOptions(device="cpu"), TRANSCRIBE, here=True)
    engine, pipeline, clips = open_cpu(folder, timestamps=True), pipeline_of(folder), make_clips()
    batches = engine._inputs.plan_batches([len(clip.samples) for clip in clips], JobOptions(device="cpu"))
    assert sorted(map(len, batches)) == ([2, 5] if padded else [1, 1, 1, 1, 1, 2])
    for clip, transcript in zip(clips, transcripts(engine, clips), strict=True):
        expected = pipeline(clip.samples.copy(), return_timestamps="char")
        assert transcript.text == expected["text"] != ""
        factor = 2 if "add_adapter" in config else 1  # the pipeline ignores that an adapter halves the frames
        length_s = len(clip.samples) / SAMPLE_RATE_HZ
        times = [[min(time_s * factor, length_s) for time_s in chunk["timestamp"]] for chunk in expected["chunks"]]
        assert [segment.text for segment in transcript.segments] == [chunk["text"] for chunk in expected["chunks"]]
        assert [[segment.start_s, segment.end_s] for segment in transcript.segments] == times
        assert transcript.avg_logprob == pytest.approx(transcripts(engine, [clip])[0].avg_logprob, abs=1e-5)


def test_parakeets_word_pieces_equal_the_librarys_for_each_clip_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_inputs, "CPU_MAX_PADDING", encoder_inputs.MAX_PADDING)
    folder = write_ctc(tmp_path, "parakeet_ctc")
    check_job(Checkpoint("m", str(folder), ""), JobOptions(device="cpu"), TRANSCRIBE, here=True)
    network, extract = AutoModelForCTC.from_pretrained(folder).eval(), AutoFeatureExtractor.from_pretrained(folder)
    tokenizer, clips = AutoTokenizer.from_pretrained(folder), make_clips()
    for clip, transcript in zip(clips, transcripts(open_cpu(folder, timestamps=True), clips), strict=True):
        tokens = network.generate(**extract(clip.samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"))
        assert transcript.text == tokenizer.decode(tokens[0]).strip() != ""
        assert "".join(segment.text for segment in transcript.segments).strip() == transcript.text
        assert transcript.segments[-1].end_s <= len(clip.samples) / SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ctc(tmp_path_factory.mktemp("ctc"))


def test_the_log_probability_is_the_mean_over_characters_of_the_mean_over_their_frames(folder):
    (clip, *_), network = make_clips(), AutoModelForCTC.from_pretrained(folder).eval()
    features = AutoFeatureExtractor.from_pretrained(folder)(clip.samples, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        best = network(**features).logits[0].log_softmax(-1).max(-1)
    (transcript,) = transcripts(open_cpu(folder, timestamps=True), [clip])
    means = []
    for character in transcript.segments:
        frames = slice(round(character.start_s * 50), round(character.end_s * 50))
        means.append(best.values[frames].mean().item())
        assert character.avg_logprob == pytest.approx(means[-1], abs=1e-4)
    assert transcript.avg_logprob == pytest.approx(np.mean(means), abs=1e-4)
    (whole,) = transcripts(open_cpu(folder), [clip])
    (segment,) = whole.segments
    assert (segment.text, segment.avg_logprob) == (transcript.text, pytest.approx(np.mean(means), abs=1e-4))
    assert (segment.start_s, segment.end_s) == (0.0, 2.0)


def test_segments_of_a_recording_are_joined_and_timed_in_its_file(folder):
    samples = make_samples(4.0, 3)
    clip = clip_of(samples, speech=[True, False, True, True], offset_s=10.0)
    (transcript,) = transcripts(open_cpu(folder, timestamps=True), [clip])
    parts = transcripts(
        open_cpu(folder, timestamps=True), [clip_of(samples[16_000 * n : 16_000 * (n + 1)]) for n in (0, 2, 3)]
    )
    assert transcript.text == " ".join(part.text for part in parts)
    shifted = [
        (segment.text, pytest.approx(segment.start_s + start_s), pytest.approx(segment.end_s + start_s))
        for start_s, part in zip((10.0, 12.0, 13.0), parts, strict=True)
        for segment in part.segments
    ]
    assert shifted == [(segment.text, segment.start_s, segment.end_s) for segment in transcript.segments]


@pytest.mark.parametrize(("row", "job", "expected"), [(None, "", None), ("de-AT", "en", "de"), (None, "eng", "en")])
def test_the_language_is_that_of_the_row_or_the_job(folder, row, job, expected):
    clip = clip_of(make_samples(1.0, 2), language=row)
    (transcript,) = transcripts(open_cpu(folder, language=job), [clip])
    assert transcript.language == expected


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert", "parakeet_ctc"])
def test_clips_shorter_than_a_frame_are_padded(kind, tmp_path):
    clips = [clip_of(make_samples(1.0, 2)[:samples]) for samples in (1, 2, 319, 399, 400, 401, 560, 719, 720)]
    for transcript in transcripts(open_cpu(write_ctc(tmp_path, kind), timestamps=True), clips):
        assert all(0 <= segment.start_s <= segment.end_s for segment in transcript.segments)


def test_a_clip_without_speech_is_not_transcribed(folder):
    (transcript,) = transcripts(open_cpu(folder), [clip_of(make_samples(1.0, 2), speech=[False])])
    assert transcript == Transcript("", None, None, (), ("no_speech",))


ADAPTERS = {
    "eng": "ABCDEFGH",
    "fra": "abcdefghéàç",
    "uzb__script_latin": "klmnopq",
    "uzb__script_cyrillic": "клмн",
    "cmn": "一二三四",
}


@pytest.fixture(scope="module")
def mms(tmp_path_factory):
    return write_mms(tmp_path_factory.mktemp("mms"), **ADAPTERS)


def test_rows_of_several_languages_each_use_their_own_adapter(mms):
    adapters = {"en-US": "eng", "fr": "fra", "uzb-script_cyrillic": "uzb-script_cyrillic", "zh_CN": "cmn"}
    languages = list(adapters) * 2
    clips = [clip_of(make_samples(1.0 + seed / 50, seed), language=language) for seed, language in enumerate(languages)]
    engine = open_cpu(mms)
    answers = transcripts(engine, clips)
    assert answers == transcripts(engine, clips[::-1])[::-1]
    for clip, language, answer in zip(clips, languages, answers, strict=True):
        processor = Wav2Vec2Processor.from_pretrained(mms, target_lang=adapters[language])
        network = Wav2Vec2ForCTC.from_pretrained(
            mms, target_lang=adapters[language], ignore_mismatched_sizes=True
        ).eval()
        with torch.no_grad():
            logits = network(**processor(clip.samples, sampling_rate=16_000, return_tensors="pt")).logits
        assert answer.text == processor.batch_decode(logits.argmax(-1))[0] != ""
    assert [answer.language for answer in answers[:4]] == ["en", "fr", "uz", "zh"]


def test_a_row_of_a_language_without_an_adapter_fails_alone(mms):
    clips = [clip_of(make_samples(1.0, 1), language=name) for name in ("en", "klingon", "uz")] + [
        clip_of(make_samples(1.0, 1))
    ]
    answer, no_adapter, ambiguous, no_language = open_cpu(mms).annotate(clips, TRANSCRIBE)
    assert not isinstance(answer, RowError)
    for failure, message in [
        (no_adapter, "no adapter for the language 'klingon', only for cmn, eng, fra"),
        (ambiguous, "'uz' matches the model's adapters uzb-script_cyrillic, uzb-script_latin; name one"),
        (no_language, "the model needs a language, one of cmn, eng"),
    ]:
        assert isinstance(failure, RowError) and failure.error == "language" and message in failure.message


@pytest.mark.parametrize(
    ("requested", "expected"),
    [("en", "eng"), ("ENG", "eng"), ("sw", "swh"), ("swa", "swh"), ("az", "azj-script_latin"), ("no", "nob")],
)
def test_a_language_is_found_by_its_two_or_three_letters(requested, expected):
    assert choose_language(requested, ["azj-script_latin", "eng", "nob", "swh"]) == expected


def test_a_checkpoint_of_one_language_needs_no_language():
    assert choose_language("", ["tur"]) == choose_language("tr", ["tur"]) == "tur"
    with pytest.raises(RowError, match="no adapter for the language 'en'"):
        choose_language("en", ["tur"])
