"""Speed of the sherpa-onnx engine against sherpa-onnx's own recognizer at its best batch size, on the same clips.

python -m benches.bench_engine_onnx [ROUNDS] [WIDTH]     (defaults: 3 rounds of layers of 512 units)

The recognizer uses all cores for each batch, and the engine as many threads. `same_text` is whether a side gives the
texts of each recording alone; sherpa-onnx does not in batches of recordings of different lengths.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sherpa_onnx

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.sherpa_onnx.engine import SherpaOnnx
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.clips import clip_of
from tests.support.checkpoints.small_onnx_models import write_paraformer

CORES = os.cpu_count() or 1
CLIPS, LAYERS = 48, 6
BATCH_SIZES = (1, 4, 16)


def make_audio() -> list[np.ndarray]:
    """Noise of 1 to 15 s, about as loud as speech."""
    random = np.random.default_rng(0)
    lengths = random.uniform(1, 15, CLIPS) * SAMPLE_RATE_HZ
    return [random.normal(0, 0.1, round(length)).astype(np.float32) for length in lengths]


def by_engine(engine: SherpaOnnx, audio: Sequence[np.ndarray]) -> list[str]:
    results = engine.annotate([clip_of(samples) for samples in audio], JobOptions().tasks())
    return ["" if isinstance(answers, RowError) else answers["transcribe"].text for answers in results]


def by_sherpa(recognizer: sherpa_onnx.OfflineRecognizer, audio: Sequence[np.ndarray], size: int) -> list[str]:
    """Decode in batches, longest first, so that lengths in a batch are similar; as sherpa-onnx's own scripts do."""
    order = sorted(range(len(audio)), key=lambda index: -len(audio[index]))
    texts = {}
    for start in range(0, len(order), size):
        streams = []
        for index in order[start : start + size]:
            streams.append((index, recognizer.create_stream()))
            streams[-1][1].accept_waveform(SAMPLE_RATE_HZ, audio[index])
        recognizer.decode_streams([stream for _, stream in streams])
        texts |= {index: stream.result.text.strip() for index, stream in streams}
    return [texts[index] for index in range(len(audio))]


def main(rounds: int, width: int) -> None:
    audio = make_audio()
    with tempfile.TemporaryDirectory() as folder:
        write_paraformer(Path(folder), width, LAYERS)
        engine = SherpaOnnx(find_checkpoint(folder), JobOptions(device="cpu"))
        model = sherpa_onnx.OfflineRecognizer.from_paraformer(
            paraformer=f"{folder}/model.onnx", tokens=f"{folder}/tokens.txt", num_threads=CORES
        )
    alone = by_engine(engine, audio)
    seconds: dict[str, float] = {}
    same = {}
    for _ in range(rounds):
        for name, run in {
            "engine": lambda: by_engine(engine, audio),
            **{f"batch of {size}": lambda size=size: by_sherpa(model, audio, size) for size in BATCH_SIZES},
        }.items():
            start = time.perf_counter()
            texts = run()
            seconds[name] = min(seconds.get(name, float("inf")), time.perf_counter() - start)
            same[name] = texts == alone
    fastest_s = min(spent_s for name, spent_s in seconds.items() if name != "engine")
    audio_s = sum(map(len, audio)) / SAMPLE_RATE_HZ
    about = {"cores": CORES, "width": width, "layers": LAYERS, "audio_s": audio_s, "same_text": same}
    print(
        json.dumps({"speed": fastest_s / seconds["engine"], "rtfx": audio_s / seconds["engine"], "s": seconds, **about})
    )


if __name__ == "__main__":
    args = sys.argv[1:]
    main(int(args[0]) if args else 3, int(args[1]) if len(args) > 1 else 512)
