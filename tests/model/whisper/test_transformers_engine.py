"""The Whisper engine of transformers against transformers' own `generate` for each clip alone, with random weights."""

import shutil

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.decoding.greedy import Decoded
from earmark.model.segments.segment_task import SegmentTask
from earmark.model.source import open_source
from earmark.model.whisper.language_first import Window
from earmark.model.whisper.output_parts import WhisperOutput
from earmark.model.whisper.transformers_engine import WhisperTransformers
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.clips import clip_of, clips_of, make_samples
from tests.support.checkpoints.checked_models import check_model
from tests.support.checkpoints.small_qwen2_audio import edit_json
from tests.support.checkpoints.small_whisper import CONTEXT_TOKENS, LANGUAGES, write_small_whisper
from tests.support.jobs import PHONE_PROMPTS, annotations, manifest_lines, run_command, write_manifest

pytestmark = pytest.mark.model

BOTH = JobOptions(task=("transcribe", "translate")).tasks()
SECONDS = (1.3, 7.0, 0.4, 3.1, 11.0)
BEAM = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def clips():
    return clips_of(SECONDS)


@pytest.fixture(scope="module")
def reference(folder):
    return Reference(folder)


class Reference:
    """transformers alone, one clip at a time."""

    def __init__(self, folder):
        self.network = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = WhisperProcessor.from_pretrained(folder)

    def features(self, samples):
        features = self.processor.feature_extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        return features.input_features

    def language(self, samples):
        (token,) = self.network.detect_language(self.features(samples)).tolist()
        return self.processor.tokenizer.convert_ids_to_tokens(token).strip("<|>")

    def tokens(self, samples, language, task, **options):
        limit = {"max_new_tokens": CONTEXT_TOKENS // 2, "force_unique_generate_call": True}
        tokens = self.network.generate(self.features(samples), language=language, task=task, **limit, **options)
        return tokens[0].tolist()

    def text(self, samples, language, task, **options):
        tokens = self.tokens(samples, language, task, **options)
        return self.processor.decode(tokens, skip_special_tokens=True).strip()


def open_cpu(folder, **options):
    return WhisperTransformers(str(folder), JobOptions(device="cpu", model_threads=1, **options))


def transcripts(engine, clips):
    results = engine.annotate(clips, BOTH)
    assert not [result for result in results if isinstance(result, RowError)]
    return results


@pytest.mark.parametrize("beam_size", [1, BEAM])
def test_the_text_is_what_generate_gives_for_each_clip_alone(folder, clips, reference, beam_size):
    languages = [reference.language(clip.samples) for clip in clips]
    assert len(set(languages)) > 1, "the reference detects one language only"
    together = transcripts(open_cpu(folder, beam_size=beam_size), clips)
    for clip, language, answers in zip(clips, languages, together, strict=True):
        assert (answers["transcribe"].language, answers["translate"].language) == (language, "en")
        for task, answer in answers.items():
            assert answer.text == reference.text(clip.samples, language, task, num_beams=beam_size)
    assert len({answer.text for answers in together for answer in answers.values()}) > len(clips)


@pytest.mark.parametrize("beam_size", [1, BEAM])
def test_an_answer_does_not_depend_on_its_neighbours(folder, clips, beam_size):
    engine = open_cpu(folder, beam_size=beam_size)
    alone = [transcripts(engine, [clip])[0] for clip in clips]
    for answers, expected in zip(transcripts(engine, clips[::-1])[::-1], alone, strict=True):
        for task, answer in answers.items():
            assert answer.text == expected[task].text
            assert answer.avg_logprob == pytest.approx(expected[task].avg_logprob, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, BEAM])
def test_the_log_probability_is_that_of_the_tokens(folder, clips, reference, beam_size):
    together = transcripts(open_cpu(folder, beam_size=beam_size, language="de"), clips[:2])
    for clip, answers in zip(clips, together, strict=False):
        options = {"num_beams": beam_size, "return_dict_in_generate": True, "output_scores": True}
        limit = {"max_new_tokens": CONTEXT_TOKENS // 2, "force_unique_generate_call": True}
        generated = reference.network.generate(
            reference.features(clip.samples), language="de", task="transcribe", **limit, **options
        )
        if beam_size == 1:
            steps = reference.network.compute_transition_scores(
                generated.sequences, generated.scores, normalize_logits=True
            )
            expected = float(steps.mean())
        else:
            expected = float(generated.sequences_scores[0])
        assert answers["transcribe"].avg_logprob == pytest.approx(expected, abs=1e-4)


def test_timestamps_time_the_phrases_that_generate_gives(folder, clips, reference):
    together = transcripts(open_cpu(folder, timestamps=True), clips)
    assert max(len(answers["transcribe"].segments) for answers in together) > 1
    for clip, answers in zip(clips, together, strict=True):
        language = answers["transcribe"].language
        tokens = reference.tokens(clip.samples, language or "", "transcribe", return_timestamps=True)
        text = reference.processor.decode(tokens, skip_special_tokens=True)
        segments = answers["transcribe"].segments
        assert "".join(answers["transcribe"].text.split()) == "".join(text.split())
        assert all(0 <= item.start_s <= item.end_s <= len(clip.samples) / SAMPLE_RATE_HZ for item in segments)


def test_both_tasks_and_language_detection_share_one_encoder_pass(folder, clips, monkeypatch):
    engine = open_cpu(folder)
    encoded: list[int] = []
    with engine._replicas.acquire() as network:
        encoder = network._network.get_encoder()
        encoder.register_forward_hook(lambda module, inputs, output: encoded.append(len(inputs[0])))
    halves = clip_of(make_samples(4.0, 9), speech=(True, True, False, True))
    transcripts(engine, [*clips, halves])
    assert sum(encoded) == len(clips) + 3


def test_all_segments_are_in_the_language_of_the_first_with_speech(folder, reference):
    first, *candidates = (make_samples(2.0, seed) for seed in range(40))
    language = reference.language(first)
    foreign = (part for part in candidates if reference.language(part) != language)
    second = next(part for part in foreign if reference.text(part, language, "transcribe"))
    (answers,) = transcripts(
        open_cpu(folder), [clip_of(np.concatenate([second, first, second]), speech=(False, True, True))]
    )
    assert answers["transcribe"].language == language
    texts = [reference.text(part, language, "transcribe") for part in (first, second)]
    assert [segment.text for segment in answers["transcribe"].segments] == texts
    assert answers["transcribe"].segments[0].start_s == pytest.approx(2.0)


def test_the_language_of_the_row_takes_precedence_over_that_of_the_job(folder, clips, reference):
    rows = [clip_of(clips[0].samples, language=code) for code in ("ja", "es-MX", "klingon")] + [clips[0]]
    japanese, spanish, klingon, german = open_cpu(folder, language="de").annotate(rows, BOTH)
    assert isinstance(klingon, RowError) and "'klingon'" in klingon.message
    for answers, code in ((japanese, "ja"), (spanish, "es"), (german, "de")):
        assert not isinstance(answers, RowError)
        transcript = answers["transcribe"]
        assert isinstance(transcript, Transcript) and transcript.language == code
        assert transcript.text == reference.text(clips[0].samples, code, "transcribe")


@torch.no_grad()
def test_unlikely_text_counts_as_silence_only_where_speech_is_unlikely(folder, clips, reference):
    engine = open_cpu(folder)
    segment_task = SegmentTask(0, clips[0], clips[0].segments[0], BOTH[:1], ("",))
    (output,) = engine._generate([Window(segment_task, "en")])
    start = torch.tensor([[reference.network.config.decoder_start_token_id]])
    logits = reference.network(reference.features(clips[0].samples), decoder_input_ids=start).logits[0, 0]
    no_speech = reference.network.generation_config.no_timestamps_token_id - 1
    assert output.decoded[0].logprob_sum / output.decoded[0].token_count < -1
    assert output.no_speech_probability == pytest.approx(float(logits.softmax(-1)[no_speech]), abs=1e-5)

    def flags(logprob, no_speech):
        output = WhisperOutput("en", (Decoded((40,), 2 * logprob, 2, False),), no_speech)
        return engine._output_parts.parts(segment_task, output)["transcribe"].flags

    assert flags(-1.1, 0.7) == {"no_speech"}
    assert not flags(-0.9, 0.7) and not flags(-1.1, 0.5)


def test_the_beam_size_of_the_checkpoint_is_the_default(folder, clips, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    edit_json(own / "generation_config.json", num_beams=BEAM)
    texts = [answers["translate"].text for answers in transcripts(open_cpu(own), clips)]
    assert texts == [answers["translate"].text for answers in transcripts(open_cpu(folder, beam_size=BEAM), clips)]
    assert texts != [answers["translate"].text for answers in transcripts(open_cpu(folder), clips)]


def test_the_checkpoint_selects_the_engine(folder):
    check_model(folder, task=("transcribe", "translate"), beam_size=2, timestamps=True, language="haw")
    assert isinstance(open_source(find_checkpoint(str(folder)), JobOptions(device="cpu")), WhisperTransformers)


@pytest.mark.process
def test_a_job_writes_both_columns(folder, tmp_path):
    rows = manifest_lines(PHONE_PROMPTS)[:2]
    rows = [row | {"audio_filepath": str(PHONE_PROMPTS.parent / row["audio_filepath"])} for row in rows]
    manifest = write_manifest(tmp_path / "manifest.jsonl", rows)
    options = ("--task", "transcribe,translate", "--model", folder, "--device", "cpu")
    run_command("annotate", manifest, tmp_path / "out", *options).check_returncode()
    written = annotations(tmp_path / "out")
    assert len(written) == len(rows)
    for row in written:
        assert row["transcribe"]["text"] and row["translate"]["text"]
        assert row["transcribe"]["language"] in LANGUAGES and row["translate"]["language"] == "en"
