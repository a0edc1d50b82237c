"""`embed` with Whisper's encoder is the mean of what transformers' encoder makes of each clip alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from model.checkpoint import Checkpoint
from model.engine import family_of
from model.whisper_embedding import WhisperEmbedder, check_job, embed_encoded
from pipeline.annotate import assign
from schemas.errors import JobError
from schemas.job import JobOptions
from schemas.records import SAMPLE_RATE_HZ
from tests.test_clap import clip_of, near, sound, vector

WIDTH = 16
SECONDS = (3.3, 0.7, 30.0, 1 / SAMPLE_RATE_HZ, 0.02, 0.0201, 12.0)
OPTIONS = JobOptions(device="cpu", batch_s=60.0, model_threads=1)
TASKS = JobOptions(task=("embed",)).tasks()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    config = WhisperConfig(
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    model = WhisperForConditionalGeneration(config).eval()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.model.encoder.parameters():
            if weight.ndim >= 2 and weight.shape[0] != config.max_source_positions:
                weight.normal_(0, weight[0].numel() ** -0.5, generator=random)
    model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> WhisperEmbedder:
    return WhisperEmbedder(str(folder), OPTIONS)


def library_vector(folder: Path, samples: np.ndarray) -> np.ndarray:
    """The mean over the frames of 20 ms that hold audio."""
    encoder = WhisperForConditionalGeneration.from_pretrained(folder).model.encoder
    given = WhisperFeatureExtractor.from_pretrained(folder)(
        samples, sampling_rate=SAMPLE_RATE_HZ, return_attention_mask=True, return_tensors="pt"
    )
    frames = (int(given.attention_mask.sum()) + 1) // 2  # of 10 ms each, of which the encoder makes one of two
    with torch.inference_mode():
        hidden = encoder(given.input_features).last_hidden_state
    return np.asarray(hidden[0, :frames].mean(dim=0).numpy())


def test_each_clip_s_vector_is_that_of_the_clip_alone(folder: Path, engine: WhisperEmbedder) -> None:
    sounds = [sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    found = engine.annotate([clip_of(samples) for samples in sounds], TASKS)
    vectors = [library_vector(folder, samples) for samples in sounds]
    for answers, expected in zip(found, vectors, strict=True):
        assert vector(answers) == near(expected)
    apart = [np.abs(one - other).max() for index, one in enumerate(vectors) for other in vectors[:index]]
    assert min(apart) > 0.001


def test_segments_count_by_their_lengths_whether_somebody_speaks_or_not(folder: Path, engine: WhisperEmbedder) -> None:
    samples = sound(50.0, 20)
    cut = 21 * SAMPLE_RATE_HZ
    (answers,) = engine.annotate([clip_of(samples, cut)], TASKS)
    vectors = [library_vector(folder, samples[:cut]), library_vector(folder, samples[cut:])]
    assert vector(answers) == near(np.average(vectors, axis=0, weights=[21, 29]))


def test_frames_beyond_the_audio_do_not_count() -> None:
    hidden = torch.arange(24, dtype=torch.float32).reshape(2, 4, 3)
    beyond = hidden.clone()
    beyond[0, 2:] = 1e9
    found = embed_encoded(beyond, [321, 10**9])
    assert found.dtype == np.float32
    assert found.tolist() == [[1.5, 2.5, 3.5], [16.5, 17.5, 18.5]]
    assert embed_encoded(hidden.bfloat16(), [1, 320]).tolist() == [[0, 1, 2], [12, 13, 14]]


def test_the_dimensions_are_the_encoder_s_width(folder: Path) -> None:
    assert family_of(Checkpoint("m", str(folder), "")).options == frozenset()
    ((assignment,), models) = assign(JobOptions(task=("embed",), model=(str(folder),)), here=True)
    (task,) = assignment.tasks
    assert (task.dimensions, list(models)) == (WIDTH, [task])


def test_what_is_missing_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    checkpoint = Checkpoint("m", str(tmp_path), "")
    with pytest.raises(JobError, match=r"model m: preprocessor_config.json or processor_config.json is missing"):
        check_job(checkpoint, OPTIONS, TASKS, here=True)
    (tmp_path / "preprocessor_config.json").write_text((folder / "preprocessor_config.json").read_text())
    with pytest.raises(JobError, match=r"there is no model\.safetensors"):
        check_job(checkpoint, OPTIONS, TASKS, here=True)
    weights = load_file(folder / "model.safetensors")
    save_file({name: one for name, one in weights.items() if "conv1" not in name}, tmp_path / "model.safetensors")
    check_job(checkpoint, OPTIONS, TASKS, here=True)
    with pytest.raises(JobError, match=r"2 tensors are in none of its weight files \(encoder.conv1.bias"):
        WhisperEmbedder(str(tmp_path), OPTIONS)


def test_other_tasks_are_refused(folder: Path) -> None:
    tasks = JobOptions(task=("embed", "emotion")).tasks()
    with pytest.raises(JobError, match="Whisper, whose encoder makes vectors; for emotion name another model"):
        check_job(Checkpoint("m", str(folder), ""), OPTIONS, tasks, here=True)
