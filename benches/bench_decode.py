"""Decoding time of librosa.load relative to earmark: 10 s of 44.1 kHz stereo, one thread on one core.

Prints JSON with the fastest round of both in milliseconds, and their ratio, for each format. The two take turns, so
that other load on the machine affects both.
"""

import json
import os
import time

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when numpy is imported

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import librosa
import numpy as np
import soundfile

from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio.audio_file import Levels, open_source, resampled_blocks

RATE_HZ = 44_100
SECONDS = 10
ROUNDS = 25
PROMPTS = Path(__file__).parent.parent / "examples" / "phone-prompts"


def contents() -> dict[str, np.ndarray]:
    """Speech from the examples, and tones in noise, which are slower to decode; float32 of shape (frames, 2)."""
    prompt = max(PROMPTS.glob("*.flac"), key=lambda path: path.stat().st_size)
    speech = librosa.load(prompt, sr=RATE_HZ)[0][: SECONDS * RATE_HZ, np.newaxis] * [1.0, 0.8]
    times = np.arange(SECONDS * RATE_HZ)[:, np.newaxis] / RATE_HZ
    noise = np.random.default_rng(0).standard_normal((len(times), 2))
    noisy = 0.3 * np.sin(2 * np.pi * times * [440, 660]) + 0.05 * noise
    return {"speech": speech.astype(np.float32), "noisy": noisy.astype(np.float32)}


def make_files(folder: Path) -> dict[str, Path]:
    """Write each content in each format; the mp3 with a low bit rate has no header with its length."""
    files = {}
    for content, samples in contents().items():
        files |= {f"{content}.{name}": folder / f"{content}.{name}" for name in ("wav", "flac", "mp3", "opus")}
        for name in ("wav", "flac", "mp3"):
            soundfile.write(files[f"{content}.{name}"], samples, RATE_HZ)
        _write_opus(files[f"{content}.opus"], samples)
    files["without_length.mp3"] = folder / "low.mp3"
    soundfile.write(folder / "low.mp3", samples, RATE_HZ, compression_level=0.8, bitrate_mode="CONSTANT")
    return files


def _write_opus(path: Path, samples: np.ndarray) -> None:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
    frame.sample_rate = RATE_HZ
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="stereo")
        stream.codec_context.open()
        convert = av.AudioResampler(stream.format, "stereo", 48_000, stream.codec_context.frame_size)
        for part in convert.resample(frame) + convert.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def decode(path: Path) -> np.ndarray:
    with open_source(str(path), 0.0) as source:
        return np.concatenate(list(resampled_blocks(source, None, None, 3600.0, Levels())))


def elapsed_ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def compare(path: Path, rounds: int) -> dict[str, float]:
    librosas, ours = [], []
    for _ in range(rounds):
        librosas.append(elapsed_ms(lambda: librosa.load(path, sr=SAMPLE_RATE_HZ)))
        ours.append(elapsed_ms(lambda: decode(path)))
    return {"librosa_ms": min(librosas), "earmark_ms": min(ours), "ratio": min(librosas) / min(ours)}


def main() -> None:
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        results = {name: compare(path, rounds) for name, path in make_files(Path(folder)).items()}
    print(json.dumps({name: {k: round(v, 2) for k, v in row.items()} for name, row in results.items()}, indent=2))


if __name__ == "__main__":
    main()
