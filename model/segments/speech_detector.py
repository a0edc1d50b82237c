"""Speech detection with Silero's voice activity detector, many frames in a call."""

import numpy as np

from earmark.schemas.records import SAMPLE_RATE_HZ

FRAME_SAMPLES = 512  # the detector's frame: 32 ms at 16 kHz
SPEECH_PROBABILITY = 0.5  # the detector's own threshold
# silero_vad loads torch, which takes seconds: it is imported where it runs, so that workers that plan do not load it.


class SpeechDetector:
    """Silero's detector; thread-safe, as its state is local to each call."""

    def __init__(self) -> None:
        from silero_vad import load_silero_vad

        self._model = load_silero_vad(sequence=True)

    def probabilities(self, samples: np.ndarray) -> np.ndarray:
        """Probability of speech in each frame, float32 (ceil(len(samples) / FRAME_SAMPLES),)."""
        return np.asarray(self._model.audio_forward(samples, SAMPLE_RATE_HZ), dtype=np.float32)


def speech_spans(probabilities: np.ndarray, length: int) -> list[tuple[int, int]]:
    """Stretches of speech, `[start, end)` in samples, in order; even one frame of speech counts.

    `length` is the clip's length in samples. Nothing is padded, so that the spans' sum is the amount of speech.
    """
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    spans = get_speech_timestamps_from_probs(
        probabilities.tolist(),
        sampling_rate=SAMPLE_RATE_HZ,
        threshold=SPEECH_PROBABILITY,
        min_speech_duration_ms=0,
        speech_pad_ms=0,
        audio_length_samples=length,
    )
    return [(span["start"], min(span["end"], length)) for span in spans if span["end"] > span["start"]]
