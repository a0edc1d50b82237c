"""Augmentation of training clips on the spectrogram: silence, gain, narrow bands, noise, holes."""

import random
from dataclasses import dataclass

import torch
from log_mel import MEL_BINS, SILENCE, TAIL_FRAMES, scale

FRAMES_OF_4_S = 400
GAIN_DB = (-14.0, 7.0)
_BINS_BELOW_4_KHZ = 99  # of the 128 bins, which are spaced on Slaney's mel scale up to 8 kHz


@dataclass(frozen=True, slots=True)
class Plan:
    """A clip of the training set, the frames of silence before and after it, and whether it is augmented."""

    index: int
    frames: int
    before: int = 0
    after: int = 0
    disturbed: bool = False

    @property
    def total(self) -> int:
        return self.before + self.frames + self.after


def disturbed(choice: random.Random, index: int, frames: int) -> Plan:
    """Draw silence of up to 4 s before and after, each for 3 of 10 clips; short silences are more frequent."""
    before, after = (round(FRAMES_OF_4_S * choice.random() ** 1.5) if choice.random() < 0.3 else 0 for _ in range(2))
    return Plan(index, frames, before, after, disturbed=True)


def prepare(choice: random.Random, log_power: torch.Tensor, plan: Plan, length: int) -> torch.Tensor:
    """Augment and scale the spectrogram of a clip.

    A gain of x dB adds x / 10 to log10 of the power, before the extractor's floor is applied.

    Args:
        log_power: Unscaled [MEL_BINS, frames + TAIL_FRAMES].

    Returns:
        Scaled float32 [MEL_BINS, length].
    """
    power = log_power.float() + choice.uniform(*GAIN_DB) / 10
    if plan.disturbed and choice.random() < 0.1:  # the band of a telephone, with a codec's residue above it
        power[_BINS_BELOW_4_KHZ - choice.randint(0, 6) :] -= choice.uniform(3, 6)
    mel = torch.full((MEL_BINS, length), SILENCE)
    mel[:, plan.before : plan.before + plan.frames + TAIL_FRAMES] = power.clamp(min=SILENCE)
    if plan.disturbed and choice.random() < 0.3:
        # Power of faint noise, whose bins vary like those of a windowed spectrum.
        level = torch.linspace(0, choice.uniform(-1, 1), MEL_BINS)[:, None] + choice.uniform(-8.5, -5.5)
        scatter = torch.empty(MEL_BINS, plan.total).exponential_().clamp(min=0.05)
        frames = mel[:, : plan.total]
        mel[:, : plan.total] = (10**frames + scatter * 10**level).log10()
    mel = scale(mel)
    if plan.disturbed:
        _punch_holes(choice, mel, plan)
    return mel


def _punch_holes(choice: random.Random, mel: torch.Tensor, plan: Plan) -> None:
    """Set one band and one short span to the mean, each for half of the clips, as SpecAugment does."""
    mean = mel[:, plan.before : plan.before + plan.frames].mean()
    if choice.random() < 0.5:
        width = choice.randint(1, 14)
        first = choice.randint(0, MEL_BINS - width)
        mel[first : first + width, : plan.total] = mean
    if choice.random() < 0.5:
        width = choice.randint(1, 6)
        first = plan.before + choice.randint(0, max(1, plan.frames - width))
        mel[:, first : first + width] = mean
