"""The synthetic corpus: each clip depends only on (SEED, split, index).

The splits were fixed before the training: HELD_OUT_VOICES, word orders by `is_held_out_order`, and HELD_OUT_MIXTURES. A
held-out clip of speech has a held-out voice, a held-out word order and, if there is background noise, a held-out
mixture.
"""

import itertools
import zlib
from dataclasses import dataclass

import numpy as np
from espeak import SAMPLE_RATE_HZ, Prosody, say
from sounds import EVENTS, NOISES, decibels, event, noise

SEED = 20261123
SPLITS = ("train", "held_out")

WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("yes", "no", "stop", "go", "left", "right", "up", "down", "open", "close"),
    *("start", "pause", "play", "next", "music", "light", "door", "window", "hello", "call"),
)
NO_SPEECH = "(no speech)"

_AMERICAN = "en-us"
TRAINING_VOICES = {
    "man": (
        _AMERICAN,
        *(f"{_AMERICAN}+{name}" for name in ("m1", "m3", "m4", "m5", "m7", "m8", "Mike", "Michael", "Denis", "rob")),
        *(f"{_AMERICAN}+{name}" for name in ("paul", "sandro", "travis", "marcelo", "norbert")),
        "gmw/en+Andy",
        "gmw/en+m3",
    ),
    "woman": (
        *(f"{_AMERICAN}+{name}" for name in ("f1", "f2", "f4", "Annie", "steph", "steph2", "linda", "belinda")),
        f"{_AMERICAN}+aunty",
        *(f"gmw/en+{name}" for name in ("f2", "steph3", "Annie")),
    ),
}
HELD_OUT_VOICES = {
    "man": (f"{_AMERICAN}+m2", f"{_AMERICAN}+m6"),
    "woman": (f"{_AMERICAN}+f3", f"{_AMERICAN}+f5"),
}

RATES_WPM = {"slowly": (105, 125), "quickly": (200, 235)}


@dataclass(frozen=True, slots=True)
class Emotion:
    """How an emotion sounds in this corpus: ranges of espeak's settings, and filters applied afterwards."""

    pitch: tuple[int, int]
    range: tuple[int, int]
    volume: tuple[int, int]
    quick: float  # probability of speaking quickly
    shelf_db: tuple[float, float] = (0.0, 0.0)  # gain above SHELF_HZ: a smile sounds bright, a sad voice dull
    overdrive: tuple[float, float] | None = None  # factor before tanh, which distorts the voice


SHELF_HZ = 1500.0
EMOTIONS = {
    "neutral": Emotion(pitch=(40, 54), range=(40, 60), volume=(80, 100), quick=0.5),
    "joy": Emotion(pitch=(84, 99), range=(85, 100), volume=(115, 135), quick=0.6, shelf_db=(6.0, 9.0)),
    "sadness": Emotion(pitch=(2, 18), range=(5, 20), volume=(38, 52), quick=0.4, shelf_db=(-9.0, -6.0)),
    "anger": Emotion(pitch=(40, 62), range=(60, 80), volume=(150, 180), quick=0.6, overdrive=(4.0, 8.0)),
}


@dataclass(frozen=True, slots=True)
class Mixture:
    """An emotion, a rate of speech and the colour of the background noise."""

    emotion: str
    rate: str
    colour: str


MIXTURES = tuple(Mixture(*parts) for parts in itertools.product(EMOTIONS, RATES_WPM, NOISES))
# Every emotion, rate and colour occurs in a held-out mixture, and also in a mixture that is trained on.
HELD_OUT_MIXTURES = (
    Mixture("neutral", "slowly", "white"),
    Mixture("neutral", "quickly", "brown"),
    Mixture("joy", "slowly", "pink"),
    Mixture("joy", "quickly", "white"),
    Mixture("sadness", "slowly", "brown"),
    Mixture("sadness", "quickly", "pink"),
    Mixture("anger", "slowly", "white"),
    Mixture("anger", "quickly", "pink"),
)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticClip:
    """A clip and its labels.

    Attributes:
        samples: float32 mono at SAMPLE_RATE_HZ; speech is at least 6 dB below full scale.
        voice: espeak's name of the voice, or the name of the event.
        colour: Colour of the noise behind speech, or None.
        rate: "slowly" or "quickly" for speech, or None.
    """

    samples: np.ndarray
    text: str
    caption: str
    emotion: str
    voice: str
    colour: str | None = None
    rate: str | None = None

    @property
    def is_speech(self) -> bool:
        return self.text != NO_SPEECH


def speech_caption(gender: str, rate: str, noisy: bool) -> str:
    return f"A {gender} speaks {rate}{' over background noise' if noisy else ''}."


CAPTIONS = (
    *(speech_caption(*parts) for parts in itertools.product(TRAINING_VOICES, RATES_WPM, (False, True))),
    *(caption for caption, _ in EVENTS.values()),
)


def is_held_out_order(words: tuple[str, ...]) -> bool:
    """Whether a sequence of two or more words is not used in training: one in eight, chosen by checksum."""
    return len(words) > 1 and zlib.crc32(" ".join(words).encode()) % 8 == 0


def make_clip(split: str, index: int, seed: int = SEED) -> SyntheticClip:
    """Return clip `index` of a split. Events make 18 % of the training split and 30 % of the held-out split."""
    random = np.random.default_rng([seed, SPLITS.index(split), index])
    if random.random() < (0.18 if split == "train" else 0.3):
        kind = str(random.choice(list(EVENTS)))
        return SyntheticClip(event(random, kind), NO_SPEECH, EVENTS[kind][0], "neutral", kind)
    return _speech(random, held_out=split == "held_out")


def _words(random: np.random.Generator, held_out: bool) -> tuple[str, ...]:
    """Draw one to five words, or two to five for the held-out split, because a single word has no order."""
    shares = (0.0, 0.28, 0.28, 0.24, 0.2) if held_out else (0.2, 0.22, 0.22, 0.2, 0.16)
    count = int(random.choice(5, p=shares)) + 1
    while True:
        words = tuple(str(word) for word in random.choice(WORDS, count))
        if is_held_out_order(words) == held_out:
            return words


def _manner(random: np.random.Generator, held_out: bool) -> tuple[str, str, str | None]:
    """Draw an emotion, a rate and, for 3 of 10 clips, the colour of the background noise."""
    emotion = str(random.choice(list(EMOTIONS)))
    rate = "quickly" if random.random() < EMOTIONS[emotion].quick else "slowly"
    if random.random() >= 0.3:
        return emotion, rate, None
    allowed = [mixture for mixture in MIXTURES if (mixture in HELD_OUT_MIXTURES) == held_out]
    mixture = allowed[random.integers(len(allowed))]
    return mixture.emotion, mixture.rate, mixture.colour


def _speech(random: np.random.Generator, held_out: bool) -> SyntheticClip:
    gender = str(random.choice(("man", "woman")))
    voice = str(random.choice((HELD_OUT_VOICES if held_out else TRAINING_VOICES)[gender]))
    words = _words(random, held_out)
    emotion, rate, colour = _manner(random, held_out)
    speech = _synthesize(random, " ".join(words), voice, EMOTIONS[emotion], RATES_WPM[rate])
    silence = [np.zeros(int(SAMPLE_RATE_HZ * random.uniform(*span_s)), np.float32) for span_s in ((0.03, 0.3),) * 2]
    samples = np.concatenate([silence[0], speech, silence[1]])
    if colour:
        level = float(np.sqrt((samples**2).mean())) * decibels(-random.uniform(5, 14))
        samples = samples + noise(random, len(samples), colour) * level
    elif random.random() < 0.5:
        samples = samples + noise(random, len(samples), "white") * decibels(-random.uniform(64, 81))
    samples = samples * min(1.0, 0.5 / float(np.abs(samples).max()))
    caption = speech_caption(gender, rate, noisy=colour is not None)
    return SyntheticClip(samples.astype(np.float32), " ".join(words), caption, emotion, voice, colour, rate)


def _synthesize(
    random: np.random.Generator, text: str, voice: str, emotion: Emotion, rate_wpm: tuple[int, int]
) -> np.ndarray:
    """Synthesize the text with the prosody of an emotion. The level varies by 12 dB, independent of the emotion."""
    ranges = (rate_wpm, emotion.pitch, emotion.range, emotion.volume)
    samples = say(text, voice, Prosody(*(int(random.integers(*span)) for span in ranges)))
    if emotion.overdrive:
        samples = np.tanh(samples / np.abs(samples).max() * random.uniform(*emotion.overdrive))
    samples = _shelved(samples, random.uniform(*emotion.shelf_db))
    return samples / np.abs(samples).max() * decibels(-random.uniform(7, 19))


def _shelved(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """Raise `samples` by `gain_db` above SHELF_HZ, with a first-order slope."""
    squared = (np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ) / SHELF_HZ) ** 2
    gain = 1 + (decibels(gain_db) - 1) * squared / (squared + 1)
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples)).astype(np.float32)
