"""Audio as a WAV file in memory."""

import io

import numpy as np
import soundfile

from earmark.schemas.records import SAMPLE_RATE_HZ


def wav_of(samples: np.ndarray) -> bytes:
    """float32 mono at SAMPLE_RATE_HZ as a WAV file of 16 bits; samples that were 16 bits before stay the same."""
    numbers = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, numbers, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    return file.getvalue()
