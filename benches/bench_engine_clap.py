"""Speed of the CLAP engine against transformers on the same clips, as JSON; random weights.

    python -m benches.bench_engine_clap [CLIPS [ROUNDS [THREADS]]]

`pipeline` is transformers' zero-shot-audio-classification, one clip at a time and in batches; `batches` is its
processor and model in batches, with the labels' texts embedded once. Both get clips at 48 kHz; the engine resamples its
own. They alternate, and the best round counts. `speed` is the time of the fastest of them over the engine's, in wall
time and, for machines with other load, in CPU time.
"""

import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
import soxr
import torch
from transformers import ClapModel, ClapProcessor, pipeline

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.clap.check import check_clap_job, label_prompts
from earmark.model.clap.engine import Clap
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.schemas.tasks import Task
from tests.support.audio.glides import cut_clip, make_glide
from tests.support.checkpoints.small_clap import write_clap

RATE_HZ = 48_000
BATCH_SIZES = (1, 4, 16)
CLOCKS = {"s": time.perf_counter, "cpu_s": time.process_time}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def in_batches(
    model: ClapModel, processor: ClapProcessor, task: Task, waveforms: Sequence[np.ndarray], size: int
) -> list[int]:
    """Index of the best label of each clip."""
    best_labels: list[int] = []
    with torch.inference_mode():
        texts = processor(text=label_prompts(task), padding=True, return_tensors="pt").to(DEVICE)
        label_vectors = model.get_text_features(**texts).pooler_output
        for start in range(0, len(waveforms), size):
            inputs = processor(audio=waveforms[start : start + size], sampling_rate=RATE_HZ, return_tensors="pt")
            vectors = model.get_audio_features(**inputs.to(DEVICE, model.dtype)).pooler_output
            scores = (model.logit_scale_a.exp() * vectors @ label_vectors.T).softmax(dim=1)
            best_labels += scores.argmax(dim=1).tolist()
    return best_labels


def main(count: int, rounds: int, threads: int) -> None:
    options = JobOptions(task=("vocal_sound",), model_threads=threads)
    random = np.random.default_rng(0)
    waveforms = [make_glide(float(random.uniform(2, 10)), seed) for seed in range(count)]
    clips = [cut_clip(samples) for samples in waveforms]
    at_48_khz = [soxr.resample(samples, SAMPLE_RATE_HZ, RATE_HZ) for samples in waveforms]
    with tempfile.TemporaryDirectory() as folder:
        # The audio encoder of laion/clap-htsat-unfused, and a smaller text encoder.
        write_clap(folder, False, 96, (2, 2, 6, 2), (4, 8, 16, 32), text_hidden=256, text_layers=4, dimensions=512)
        (task,) = check_clap_job(Checkpoint("m", folder, ""), options, options.tasks(), here=True)
        engine = Clap(folder, options)
        model = ClapModel.from_pretrained(folder).to(DEVICE, torch.bfloat16 if DEVICE == "cuda" else torch.float32)
        processor = ClapProcessor.from_pretrained(folder)
        classify = pipeline(
            "zero-shot-audio-classification",
            model=model,
            tokenizer=processor.tokenizer,
            feature_extractor=processor.feature_extractor,
            device=DEVICE,
        )
    sides: dict[str, Callable[[], object]] = {"engine": functools.partial(engine.annotate, clips, [task])}
    for size in BATCH_SIZES:
        sides[f"batches_{size}"] = functools.partial(in_batches, model, processor, task, at_48_khz, size)
        sides[f"pipeline_{size}"] = functools.partial(
            classify, at_48_khz, candidate_labels=list(task.labels), batch_size=size
        )
    best = {clock: dict.fromkeys(sides, float("inf")) for clock in CLOCKS}
    for name, run in [*sides.items()] * rounds:
        starts = {clock: CLOCKS[clock]() for clock in CLOCKS}
        run()
        for clock in CLOCKS:
            best[clock][name] = min(best[clock][name], CLOCKS[clock]() - starts[clock])
    speed = {
        clock: min(seconds for name, seconds in times.items() if name != "engine") / times["engine"]
        for clock, times in best.items()
    }
    audio_s = sum(map(len, waveforms)) / SAMPLE_RATE_HZ
    about = {"device": DEVICE, "parameters": model.num_parameters(), "clips": count, "audio_s": audio_s}
    print(json.dumps({"speed": speed, **best, **about}))


if __name__ == "__main__":
    count, rounds, threads = [*sys.argv[1:], *("16", "3", "0")[len(sys.argv) - 1 :]]
    main(int(count), int(rounds), int(threads))
