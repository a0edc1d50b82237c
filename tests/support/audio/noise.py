"""Files of noise, and their measurements as an annotation has them."""

from pathlib import Path

import numpy as np
import soundfile

from earmark.schemas.records import AudioFacts, stable_hash


def write_noise(path: Path, seconds: float = 0.25, channels: int = 1, rate: int = 16_000) -> Path:
    """Write 16-bit noise that is different for every file name."""
    random = np.random.default_rng(int(stable_hash(path.name)[:8], 16))
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (round(seconds * rate), channels)
    soundfile.write(path, random.integers(-32768, 32767, shape, dtype=np.int16), rate, "PCM_16")
    return path


def facts_of(path: Path, duration_s: float | None = None) -> AudioFacts:
    """Facts of a file or, with `duration_s`, of a part of it; its levels are made up."""
    info = soundfile.info(path)
    annotated_s = info.frames / info.samplerate if duration_s is None else duration_s
    codec = info.subtype.lower() if info.format == "WAV" else info.format.lower()
    return AudioFacts(annotated_s, info.samplerate, info.channels, codec, -20.0, -3.0, 0.0, 0.8, 8000.0)
