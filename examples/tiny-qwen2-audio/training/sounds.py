"""Sounds without speech: noise, and the events of EVENTS. All are float32 mono at SAMPLE_RATE_HZ."""

from collections.abc import Callable

import numpy as np
from espeak import SAMPLE_RATE_HZ

NOISES = {"white": 0.0, "pink": 0.5, "brown": 1.0}  # exponent of 1/f in the amplitude
_FLAT_BELOW_HZ = 40.0  # below, the spectra are flat
_DIALS_HZ = ((697, 770, 852, 941), (1209, 1336, 1477))  # rows and columns of a telephone's keys, ITU-T Q.23


def decibels(gain_db: float) -> float:
    return float(10 ** (gain_db / 20))


def noise(random: np.random.Generator, length: int, colour: str) -> np.ndarray:
    """Make noise of `length` samples with a root mean square of 1."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    frequency_hz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    shaped = np.fft.irfft(spectrum / np.maximum(frequency_hz, _FLAT_BELOW_HZ) ** NOISES[colour], length)
    return (shaped / np.sqrt((shaped**2).mean())).astype(np.float32)


def _seconds(length: int) -> np.ndarray:
    return np.arange(length) / SAMPLE_RATE_HZ


def _samples(random: np.random.Generator, low_s: float, high_s: float) -> int:
    return int(SAMPLE_RATE_HZ * random.uniform(low_s, high_s))


def _tone(random: np.random.Generator, length: int) -> np.ndarray:
    frequency_hz = np.exp(random.uniform(np.log(200), np.log(3000)))
    return np.sin(2 * np.pi * frequency_hz * _seconds(length))


def _siren(random: np.random.Generator, length: int) -> np.ndarray:
    low_hz, high_hz = random.uniform(350, 800), random.uniform(1000, 1900)
    turns = random.uniform(0.8, 3) * _seconds(length) + random.random()
    sweep = 0.5 + 0.5 * np.sin(2 * np.pi * turns) if random.random() < 0.5 else 2 * np.abs(turns % 1 - 0.5)
    return np.sin(2 * np.pi * np.cumsum(low_hz + (high_hz - low_hz) * sweep) / SAMPLE_RATE_HZ)


def _rain(random: np.random.Generator, length: int) -> np.ndarray:
    return 0.4 * noise(random, length, "white" if random.random() < 0.7 else "pink")


def _knocks(random: np.random.Generator, length: int) -> np.ndarray:
    samples = np.zeros(length)
    period, position = _samples(random, 0.14, 0.4), _samples(random, 0.02, 0.2)
    frequency_hz = random.uniform(100, 350)
    while position < length - 800:
        part = samples[position : position + SAMPLE_RATE_HZ // 8]
        time_s, decay_s = _seconds(len(part)), random.uniform(0.008, 0.025)
        body = 0.6 * np.sin(2 * np.pi * frequency_hz * time_s) + 0.4 * random.standard_normal(len(part))
        part += np.exp(-time_s / decay_s) * body
        position += int(period * random.uniform(0.85, 1.15))
    return samples / np.abs(samples).max()


def _phone(random: np.random.Generator, length: int) -> np.ndarray:
    if random.random() < 0.25:  # the North American dial tone
        return 0.5 * (np.sin(2 * np.pi * 350 * _seconds(length)) + np.sin(2 * np.pi * 440 * _seconds(length)))
    samples = np.zeros(length)
    on, off, position = _samples(random, 0.08, 0.18), _samples(random, 0.05, 0.12), _samples(random, 0, 0.1)
    while position < length - on:
        pair_hz = [random.choice(column) for column in _DIALS_HZ]
        samples[position : position + on] = sum(0.5 * np.sin(2 * np.pi * hz * _seconds(on)) for hz in pair_hz)
        position += on + off
    return samples


def _silence(random: np.random.Generator, length: int) -> np.ndarray:
    return np.zeros(length)


def _music(random: np.random.Generator, length: int) -> np.ndarray:
    samples = np.zeros(length)
    base = random.integers(48, 73)  # MIDI notes
    chord = ((0, 4, 7, 12), (0, 3, 7, 12))[random.integers(2)][:: random.choice((1, -1))]
    step, position, note = _samples(random, 0.12, 0.28), 0, 0
    while position < length - 400:
        part = samples[position : position + int(step * 1.6)]
        time_s, frequency_hz = _seconds(len(part)), 440 * 2 ** ((base + chord[note % 4] - 69) / 12)
        harmonics = sum(np.sin(2 * np.pi * frequency_hz * k * time_s) / k**1.3 for k in range(1, 6))
        part += harmonics * np.exp(-time_s * random.uniform(3, 6)) * np.minimum(1, time_s / 0.005)
        position += step
        note += 1 if random.random() < 0.8 else 2
    return samples / np.abs(samples).max()


# Each event with the sentence that describes it.
EVENTS: dict[str, tuple[str, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "tone": ("A steady pure tone.", _tone),
    "siren": ("A siren rising and falling in pitch.", _siren),
    "rain": ("White noise like steady rain.", _rain),
    "knocks": ("Someone is knocking.", _knocks),
    "phone": ("Telephone dialing tones.", _phone),
    "silence": ("Silence.", _silence),
    "music": ("A melody of musical notes.", _music),
}


def event(random: np.random.Generator, kind: str) -> np.ndarray:
    """Make an event of 0.9 to 2.2 s, attenuated by 8 to 27 dB, half of the time with a faint hiss."""
    length = _samples(random, 0.9, 2.2)
    samples = EVENTS[kind][1](random, length) * decibels(random.uniform(-27, -8))
    if random.random() < 0.5:
        samples = samples + noise(random, length, "white") * decibels(random.uniform(-83, -67))
    return samples.astype(np.float32)
