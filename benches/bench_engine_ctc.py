"""Speed of encoders with a head against transformers' pipeline at its best batch size, on the phone prompts.

    python -m benches.bench_engine_ctc [CLIPS [ROUNDS]]

Random weights, float32. The two sides alternate, and the best round counts. `speed` is the time of the pipeline's best
over the engine's; the target is at least 0.95. AST gets clips of up to 10.24 s, because the pipeline drops the rest of
longer ones, and the engine does not. The wav2vec2 base family (group norm) is exempt: the engine runs its clips one by
one, because padding changes the answers, which the pipeline accepts.
"""

import functools
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers import pipeline
from transformers.utils import logging as transformers_logging

from earmark.model.encoders.classifier import AudioClassifier
from earmark.model.encoders.ctc import Ctc
from earmark.model.engine import Engine
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from earmark.schemas.tasks import Task
from tests.support.audio.clips import clip_of
from tests.support.checkpoints.qwen2_audio_reference import TASKS, answered
from tests.support.checkpoints.small_encoders import write_classifier, write_ctc
from tests.support.jobs import PHONE_PROMPTS, manifest_lines

BATCH_SIZES = (1, 4, 8, 16)
SIZE: dict[str, Any] = {
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
WAVES = {**SIZE, "conv_dim": (256,) * 7, "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16}
BASE = {**WAVES, "feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}
LABELS = ["neu", "hap", "ang", "sad"]
OWN = Task("own", "", None, "", "label", labels=tuple(LABELS), labels_of_model=True)
AST, AST_S = "audio-spectrogram-transformer", 10.24
CTC, CLASSIFY = "automatic-speech-recognition", "audio-classification"
CASES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "wav2vec2 CTC": (CTC, functools.partial(write_ctc, **WAVES)),
    "wav2vec2 classifier": (CLASSIFY, functools.partial(write_classifier, labels=LABELS, **WAVES)),
    "AST": (
        CLASSIFY,
        functools.partial(write_classifier, labels=LABELS, model_type="audio-spectrogram-transformer", **SIZE),
    ),
    "wav2vec2 base CTC (exempt)": (CTC, functools.partial(write_ctc, **BASE)),
}


def read_clips(count: int) -> list[Clip]:
    rows = manifest_lines(PHONE_PROMPTS)[:count]
    paths = [PHONE_PROMPTS.parent / row["audio_filepath"] for row in rows]
    return [clip_of(soundfile.read(path, dtype="float32")[0].repeat(2), path.stem) for path in paths]  # from 8 kHz


def compare(kind: str, folder: Path, clips: Sequence[Clip], rounds: int) -> dict[str, float]:
    options = JobOptions(device="auto", compute_type="float32", model_threads=torch.get_num_threads())
    engine: Engine = (Ctc if kind == CTC else AudioClassifier)(str(folder), options)
    library = pipeline(kind, model=str(folder), device=0 if torch.cuda.is_available() else "cpu", dtype=torch.float32)
    task = TASKS["transcribe"] if kind == CTC else OWN
    sides = {"engine": functools.partial(answered, engine, clips, [task])}
    for size in BATCH_SIZES:
        sides[f"pipeline {size}"] = lambda size=size: library([clip.samples for clip in clips], batch_size=size)
    best = dict.fromkeys(sides, float("inf"))
    for name, run in [*sides.items()] * rounds:
        start = time.perf_counter()
        run()
        best[name] = min(best[name], time.perf_counter() - start)
    fastest = min(seconds for name, seconds in best.items() if name != "engine")
    return {"speed": fastest / best["engine"], **best}


def main(count: int, rounds: int) -> None:
    warnings.simplefilter("ignore")
    transformers_logging.set_verbosity_error()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    clips = read_clips(count)
    for name, (kind, write) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            selected = [clip for clip in clips if name != "AST" or len(clip.samples) <= AST_S * SAMPLE_RATE_HZ]
            figures = compare(kind, write(Path(folder)), selected, rounds)
        about = {"case": name, "clips": len(selected), "threads": torch.get_num_threads()}
        print(json.dumps({**about, **figures}), flush=True)


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("24", "3")[len(sys.argv) - 1 :]]))
