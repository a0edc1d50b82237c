"""sherpa-onnx's recognizer: opening it, and decoding one piece of audio."""

from typing import Any

import numpy as np
import sherpa_onnx

from earmark.model.sherpa_onnx.files import SherpaModel
from earmark.schemas.errors import JobError
from earmark.schemas.records import SAMPLE_RATE_HZ

# Shorter audio has no frame of features, or none after the models' subsampling, which ends the process.
MIN_SAMPLES = SAMPLE_RATE_HZ // 10


def open_recognizer(model: SherpaModel, provider: str) -> Any:
    """A sherpa_onnx.OfflineRecognizer of one thread, which several threads may call at once.

    Args:
        provider: "cpu" or "cuda".
    """
    factory = getattr(sherpa_onnx.OfflineRecognizer, model.kind.factory)
    files = dict(model.files) | {"tokens": model.tokens}
    return factory(**files, **dict(model.kind.settings), num_threads=1, provider=provider)


def decode_alone(recognizer: Any, samples: np.ndarray) -> Any:
    """The sherpa_onnx.OfflineRecognitionResult of float32 mono samples at SAMPLE_RATE_HZ.

    Raises:
        RuntimeError, MemoryError: The model cannot be run.
        JobError: tokens.txt is another model's.
    """
    if len(samples) < MIN_SAMPLES:
        samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE_HZ, samples)
    try:
        recognizer.decode_stream(stream)
    except IndexError as error:
        raise JobError(
            "the model returned a token that its tokens.txt lacks; replace it with the file that belongs to the model"
        ) from error
    except RuntimeError as error:
        if "allocate memory" in str(error):  # onnxruntime's message
            raise MemoryError(str(error)) from error
        raise
    return stream.result
