"""On a CUDA device each engine answers in 32 bits as on the CPU; `make test-cuda`, where there is one."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch

from earmark.pipeline.annotate import assign
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import new_task
from tests.model.speecht5.test_engine import write_small_speecht5
from tests.support.audio.clips import clips_of
from tests.support.checkpoints.small_audio_models import WRITERS, write_small
from tests.support.checkpoints.small_clap import write_clap
from tests.support.checkpoints.small_encoders import write_classifier, write_ctc
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint
from tests.support.checkpoints.small_whisper import write_small_whisper
from tests.support.jobs import same

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
SECONDS = (2.0, 1.93, 0.5, 8.2, 2.0, 3.3)
LABELS = ["neutral", "joy", "anger", "sadness"]
NOISE = new_task("noise", {"prompt": "How noisy is it?", "labels": ["quiet", "loud, as loud as it gets", "no"]})
SAID = ("transcribe", "caption", "emotion", "noise")
AST = "audio-spectrogram-transformer"
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
# What writes a checkpoint into a folder, and what it is asked.
MODELS: Mapping[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "qwen2_audio": (partial(write_checkpoint, hidden=64, layers=3), SAID),
    "qwen2_audio base": (partial(write_checkpoint, chat=False, hidden=64, layers=3), SAID),
    **{kind: (partial(write_small, kind), ("transcribe",) if kind == "qwen3_asr" else SAID) for kind in WRITERS},
    "whisper": (write_small_whisper, ("transcribe", "translate", "embed")),
    "speecht5": (write_small_speecht5, ("transcribe",)),
    **{
        f"ctc {kind}": (partial(write_ctc, model_type=kind), ("transcribe",))
        for kind in ("wav2vec2", "hubert", "wavlm", "wav2vec2-bert", "parakeet_ctc")
    },
    "ctc base": (partial(write_ctc, **BASE), ("transcribe",)),
    **{
        f"classifier {kind}": (partial(write_classifier, labels=LABELS, model_type=kind), ("emotion",))
        for kind in ("wav2vec2", "wavlm", AST, "whisper")
    },
    "clap": (write_clap, ("emotion", "vocal_sound", "embed")),
    "clap fused": (partial(write_clap, fusion=True), ("emotion", "embed")),
}


def answers(folder, clips, asked, **options):
    """What a job of these options answers about each clip."""
    job = JobOptions(model=(str(folder),), task=asked, new_tasks=(NOISE,) if "noise" in asked else (), **options)
    (assignment,), _ = assign(job, here=True)
    found = assignment.open_engine().annotate(clips, assignment.tasks)
    return [one for one in found if not isinstance(one, RowError)]


def as_json(answers):
    """Answers as lists and dicts, of which `same` compares floats to 1e-4."""
    fields = {task: dataclasses.asdict(answer) for task, answer in answers.items()}
    return json.loads(json.dumps(fields))


@pytest.mark.parametrize("name", MODELS)
def test_answers_in_32_bits_are_those_of_the_cpu(name, tmp_path):
    write, asked = MODELS[name]
    write(tmp_path)
    clips = clips_of(SECONDS)
    here = answers(tmp_path, clips, asked, device="cpu", model_threads=4)
    there = answers(tmp_path, clips, asked, device="cuda", compute_type="float32")
    assert len(here) == len(there) == len(clips)
    for one, other in zip(map(as_json, here), map(as_json, there), strict=True):
        differing = {task: (one[task], other[task]) for task in one if not same(one[task], other[task])}
        assert not differing


@pytest.mark.parametrize("name", MODELS)
def test_every_engine_answers_in_its_default_numbers(name, tmp_path):
    write, asked = MODELS[name]
    write(tmp_path)
    clips = clips_of(SECONDS)
    assert len(answers(tmp_path, clips, asked)) == len(clips)
