"""One Whisper, tiny.en, through transformers and through CTranslate2: real speech, real weights, float32."""

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.source import check_source, open_source
from earmark.model.whisper.ctranslate2_engine import MAX_NEW_TOKENS
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio.audio_file import Levels, resampled_blocks
from earmark.transforms.audio.audio_file import open_source as open_audio
from tests.support.audio.clips import clip_of
from tests.support.checkpoints.small_qwen2_audio import edit_json
from tests.support.checkpoints.whisper_conversion import write_whisper_tiny_en
from tests.support.jobs import PHONE_PROMPTS

pytestmark = pytest.mark.model

BEAM = 5
TASKS = JobOptions().tasks()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_whisper_tiny_en(tmp_path_factory.mktemp("tiny.en"))


@pytest.fixture(scope="module")
def prompts():
    """All phone prompts, in one segment each."""
    clips = []
    for path in sorted(PHONE_PROMPTS.parent.glob("**/*.flac")):
        with open_audio(str(path), 0.0) as source:
            clips.append(clip_of(np.concatenate(list(resampled_blocks(source, None, None, 60.0, Levels())))))
    assert len(clips) == 24
    return clips


def transcribed(model, clips, beam_size):
    options = JobOptions(device="cpu", compute_type="float32", beam_size=beam_size, model_threads=1)
    source = find_checkpoint(model)
    results = open_source(source, options).annotate(clips, check_source(source, options, TASKS, here=True))
    transcripts = [result["transcribe"] for result in results if not isinstance(result, RowError)]
    assert len(transcripts) == len(clips)
    return transcripts


@pytest.mark.slow
def test_both_give_the_same_text_for_every_phone_prompt(folder, prompts):
    for transcript, expected in zip(
        transcribed(str(folder), prompts, 1), transcribed("whisper-tiny.en", prompts, 1), strict=True
    ):
        assert transcript.text == expected.text
        assert transcript.language == expected.language == "en"
        assert transcript.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-3)
        assert (transcript.flags, len(transcript.segments)) == (expected.flags, len(expected.segments))


@pytest.mark.parametrize("beam_size", [1, BEAM])
def test_the_text_is_what_generate_gives_for_each_prompt_alone(folder, prompts, beam_size):
    network = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = WhisperProcessor.from_pretrained(folder)
    some = prompts[:: 8 if beam_size == 1 else 16]  # beams cost five times as much
    for clip, transcript in zip(some, transcribed(str(folder), some, beam_size), strict=True):
        features = processor(clip.samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        tokens = network.generate(features, num_beams=beam_size, max_new_tokens=MAX_NEW_TOKENS)
        assert transcript.text == processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()


def test_an_old_checkpoint_without_is_multilingual_is_english_only(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "generation_config.json").write_bytes((folder / "generation_config.json").read_bytes())
    edit_json(tmp_path / "generation_config.json", is_multilingual=None, no_timestamps_token_id=None)
    options = JobOptions(task=("translate",))
    with pytest.raises(JobError, match="is an English-only Whisper"):
        check_source(find_checkpoint(str(tmp_path)), options, options.tasks(), here=False)
    silence = clip_of(np.zeros(SAMPLE_RATE_HZ, np.float32))
    assert transcribed(str(tmp_path), [silence], 1)[0].language == "en"
