"""Speed of the Whisper engine on transformers against transformers' pipeline, with the same weights and clips.

    python -m benches.bench_engine_whisper [CLIPS [ROUNDS]]

Converted Whisper tiny.en, greedy, float32 on a CPU, bfloat16 on a GPU, on the phone prompts. The pipeline runs at each
of BATCH_SIZES; the two sides alternate, and the best round of each counts. SpeechT5 is exempt: its first convolution is
normalised over the padding, so the engine batches segments of one length only, where the pipeline pads and gives other
answers.
"""

import functools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, WhisperForConditionalGeneration, pipeline

from earmark.model.whisper.transformers_engine import WhisperTransformers
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from earmark.transforms.audio.audio_file import Levels, open_source, resampled_blocks
from tests.support.audio.clips import clip_of
from tests.support.checkpoints.whisper_conversion import write_whisper_tiny_en
from tests.support.jobs import PHONE_PROMPTS

BATCH_SIZES = (1, 4, 8, 16)
TASKS = JobOptions().tasks()


def bench(count: int = 12, rounds: int = 3) -> dict[str, Any]:
    """Seconds of the engine and of the pipeline, and the ratio between them."""
    clips = read_clips(count)
    with tempfile.TemporaryDirectory() as folder:
        write_whisper_tiny_en(Path(folder))
        engine = WhisperTransformers(folder, JobOptions())
        with engine._replicas.acquire() as replica:
            about = {"device": str(replica._network.device), "dtype": str(replica._network.dtype)}
        network = WhisperForConditionalGeneration.from_pretrained(folder, dtype=replica._network.dtype).to(
            about["device"]
        )
        processor = AutoProcessor.from_pretrained(folder)
    recognize = pipeline(
        "automatic-speech-recognition",
        model=network,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
    )
    sides = {f"pipeline_{size}": functools.partial(by_pipeline, recognize, clips, size) for size in BATCH_SIZES}
    sides["engine"] = functools.partial(by_engine, engine, clips)
    best, texts = dict.fromkeys(sides, float("inf")), {}
    for name, run in [*sides.items()] * rounds:
        start = time.perf_counter()
        texts[name] = run()
        best[name] = min(best[name], time.perf_counter() - start)
    same = sum(text == reference for text, reference in zip(texts["engine"], texts["pipeline_1"], strict=True))
    fastest = min(seconds for name, seconds in best.items() if name != "engine")
    audio_s = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE_HZ
    about |= {"threads": torch.get_num_threads(), "clips": count, "audio_s": audio_s, "same_text": same}
    return {"speed_over_pipeline": fastest / best["engine"], "s": best, **about}


def read_clips(count: int) -> list[Clip]:
    clips = []
    paths = sorted(PHONE_PROMPTS.parent.glob("**/*.flac"))
    for index in range(count):
        with open_source(str(paths[index % len(paths)]), 0.0) as source:
            clips.append(clip_of(np.concatenate(list(resampled_blocks(source, None, None, 60.0, Levels())))))
    return clips


def by_engine(engine: WhisperTransformers, clips: list[Clip]) -> list[str]:
    results = engine.annotate(clips, TASKS)
    return ["" if isinstance(result, RowError) else result["transcribe"].text for result in results]  # type: ignore[union-attr]


def by_pipeline(recognize: Any, clips: list[Clip], batch_size: int) -> list[str]:
    inputs = [{"raw": clip.samples, "sampling_rate": SAMPLE_RATE_HZ} for clip in clips]
    greedy = {"num_beams": 1}  # the pipeline's own default is 5
    return [result["text"].strip() for result in recognize(inputs, batch_size=batch_size, generate_kwargs=greedy)]


if __name__ == "__main__":
    print(json.dumps(bench(*map(int, sys.argv[1:])), indent=2))
