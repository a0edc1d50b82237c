"""Clips to show to engines, and what they sound like."""

import itertools
from collections.abc import Sequence

import numpy as np

from earmark.model.segments.segment_task import SegmentTask
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Segment

FACTS = AudioFacts(0.0, SAMPLE_RATE_HZ, 1, "flac", 0.0, 0.0, 0.0)


def make_samples(seconds: float, seed: int) -> np.ndarray:
    """A sweep, a swelling tone and noise, each at a random level."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    hz, sweep_hz, beat_hz = random.uniform(100, 2000), random.uniform(-500, 500), random.uniform(1, 6)
    sweep = np.sin(2 * np.pi * (hz + sweep_hz * times / (2 * seconds)) * times)
    tone = np.sin(2 * np.pi * random.uniform(100, 4000) * times) * np.sin(np.pi * beat_hz * times) ** 2
    noise = random.standard_normal(len(times))
    levels = random.uniform([0.0, 0.0, 0.001], [0.5, 0.4, 0.05])
    return np.asarray(levels @ np.stack([sweep, tone, noise]), np.float32)


def clips_of(lengths_s: Sequence[float]) -> list[Clip]:
    """Clips of these lengths, known by their numbers."""
    return [clip_of(make_samples(seconds, seed), str(seed)) for seed, seconds in enumerate(lengths_s)]


def segment_tasks_of(lengths: Sequence[int]) -> list[SegmentTask]:
    """A segment task for each length in samples, of a recording each, without tasks."""
    clips = [clip_of(np.zeros(length, np.float32), str(index)) for index, length in enumerate(lengths)]
    return [SegmentTask(index, clip, clip.segments[0], (), ()) for index, clip in enumerate(clips)]


def clip_of(samples: np.ndarray, id: str = "x", speech: Sequence[bool] = (True,), **fields: str | float) -> Clip:
    """A clip with a segment for each entry of `speech`, which is whether the segment is speech."""
    bounds = np.linspace(0, len(samples), len(speech) + 1).astype(int).tolist()
    pairs = zip(itertools.pairwise(bounds), speech, strict=True)
    segments = tuple(Segment(start, end, (end - start) * spoken) for (start, end), spoken in pairs)
    return Clip(Recording(id=id, uri="x", **fields), samples, FACTS, segments)  # type: ignore[arg-type]
