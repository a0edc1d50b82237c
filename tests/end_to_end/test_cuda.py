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
TEXT_TASKS = ("transcribe", "caption", "emotion", "noise")
AST = "audio-spectrogram-transformer"
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
# Function that writes a checkpoint into a folder, and the tasks that it answers.
MODELS: Mapping[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "qwen2_audio": (partial(write_checkpoint, hidden=64, layers=3), TEXT_TASKS),
    "qwen2_audio base": (partial(write_checkpoint, chat=False, hidden=64, layers=3), TEXT_TASKS),
    **{kind: (partial(write_small, kind), ("transcribe",) if kind == "qwen3_asr" else TEXT_TASKS) for kind in WRITERS},
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


def answers(folder, clips, task_names, **options):
    """Return the answers of a job with these options to each clip."""
    job = JobOptions(
        model=(str(folder),), task=task_names, new_tasks=(NOISE,) if "noise" in task_names else (), **options
    )
    (assignment,), _ = assign(job, here=True)
    results = assignment.open_engine().annotate(clips, assignment.tasks)
    return [result for result in results if not isinstance(result, RowError)]


def as_json(answers):
    """Answers as lists and dicts, of which `same` compares floats to 1e-4."""
    fields = {task: dataclasses.asdict(answer) for task, answer in answers.items()}
    return json.loads(json.dumps(fields))


@pytest.mark.parametrize("name", MODELS)
def test_answers_in_32_bits_are_those_of_the_cpu(name, tmp_path):
    write, task_names = MODELS[name]
    write(tmp_path)
    clips = clips_of(SECONDS)
    on_cpu = answers(tmp_path, clips, task_names, device="cpu", model_threads=4)
    on_cuda = answers(tmp_path, clips, task_names, device="cuda", compute_type="float32")
    assert len(on_cpu) == len(on_cuda) == len(clips)
    for expected, result in zip(map(as_json, on_cpu), map(as_json, on_cuda), strict=True):
        differing = {
            task: (expected[task], result[task]) for task in expected if not same(expected[task], result[task])
        }
        assert not differing


@pytest.mark.parametrize("name", MODELS)
def test_every_engine_answers_in_its_default_numbers(name, tmp_path):
    write, task_names = MODELS[name]
    write(tmp_path)
    clips = clips_of(SECONDS)
    assert len(answers(tmp_path, clips, task_names)) == len(clips)
