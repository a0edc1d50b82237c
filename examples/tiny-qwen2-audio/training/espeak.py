"""Speech from libespeak-ng; unlike the command, the library can set the pitch range."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import soxr

SAMPLE_RATE_HZ = 16_000
_ESPEAK_RATE_HZ = 22_050
# From speak_lib.h: AUDIO_OUTPUT_SYNCHRONOUS, POS_CHARACTER, espeakCHARS_UTF8, espeakRATE, VOLUME, PITCH, RANGE.
_SYNCHRONOUS, _POS_CHARACTER, _CHARS_UTF8 = 2, 1, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_AUDIBLE = 0.004  # share of full scale; quieter samples before and after the speech are cut


@dataclass(frozen=True, slots=True)
class Prosody:
    """espeak's settings: words a minute, and pitch, pitch range and volume on espeak's own scales (50, 50, 100)."""

    rate_wpm: int
    pitch: int
    range: int
    volume: int


def say(text: str, voice: str, prosody: Prosody) -> np.ndarray:
    """Synthesize `text` as float32 mono at SAMPLE_RATE_HZ, without silence around it.

    espeak keeps state between calls, so the same text may come out some milliseconds longer or shorter.

    Raises:
        OSError: libespeak-ng is not installed.
        ValueError: Espeak does not have the voice, or returns no audio.
    """
    library, chunks, _ = _open()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice}")
    settings = ((_RATE, prosody.rate_wpm), (_VOLUME, prosody.volume), (_PITCH, prosody.pitch), (_RANGE, prosody.range))
    for parameter, value in settings:
        library.espeak_SetParameter(parameter, value, 0)
    chunks.clear()
    encoded = text.encode() + b"\0"
    library.espeak_Synth(encoded, len(encoded), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    if not chunks:
        raise ValueError(f"espeak-ng returns no audio for {text!r}")
    samples = soxr.resample(np.concatenate(chunks).astype(np.float32) / 32768, _ESPEAK_RATE_HZ, SAMPLE_RATE_HZ)
    audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    return samples[max(0, audible[0] - 160) : audible[-1] + 320]


@cache
def _open() -> tuple[ctypes.CDLL, list[np.ndarray], Callable]:
    """Load the library; return it, the list that its callback fills, and the callback, which must stay alive."""
    library = ctypes.CDLL("libespeak-ng.so.1")
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
    if rate_hz != _ESPEAK_RATE_HZ:
        raise OSError(f"espeak-ng returns audio at {rate_hz} Hz, not at {_ESPEAK_RATE_HZ} Hz")
    chunks: list[np.ndarray] = []

    def collect(samples, count: int, _events) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    return library, chunks, callback
