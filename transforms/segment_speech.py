"""SegmentSpeech: cuts clips into segments of at most 30 s, cut in the longest pauses."""

import dataclasses
import itertools
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
from apache_beam.utils.shared import Shared

from earmark.model.segments.speech_detector import FRAME_SAMPLES, SPEECH_PROBABILITY, SpeechDetector, speech_spans
from earmark.schemas.records import MAX_SEGMENT_S, SAMPLE_RATE_HZ, Clip, DecodedShard, Segment
from earmark.transforms.audio.measure_noise import signal_to_noise_db
from earmark.transforms.counters import NO_RUN, Counters
from earmark.transforms.shard_stage import ShardStage

MAX_SEGMENT_SAMPLES = MAX_SEGMENT_S * SAMPLE_RATE_HZ
# A cut is looked for in the second part of a segment, so that no sliver comes before it.
MIN_SEGMENT_SAMPLES = 10 * SAMPLE_RATE_HZ
SEGMENTATION = f"silero-vad, at most {MAX_SEGMENT_S} s, at least 10 s, cut in the longest pause, v1"


def cut_points(probabilities: np.ndarray, length: int) -> list[int]:
    """Return the bounds of segments in samples, from 0 to `length`, at most MAX_SEGMENT_SAMPLES apart.

    Each cut lies in the middle of the longest pause between MIN and MAX_SEGMENT_SAMPLES after the last one, or, if
    there is no pause, in the frame least likely to be speech.

    Args:
        probabilities: Probability of speech in each frame of FRAME_SAMPLES.
        length: Length of the clip, in samples.
    """
    bounds = [0]
    while length - bounds[-1] > MAX_SEGMENT_SAMPLES:
        first = (bounds[-1] + MIN_SEGMENT_SAMPLES) // FRAME_SAMPLES
        last = (bounds[-1] + MAX_SEGMENT_SAMPLES) // FRAME_SAMPLES
        bounds.append((first + _best_frame(probabilities[first:last])) * FRAME_SAMPLES)
    return [*bounds, length]


def _best_frame(probabilities: np.ndarray) -> int:
    """Middle of the longest run of frames without speech (the first of equals), else the frame least like speech."""
    silent = np.flatnonzero(np.diff(np.concatenate(([0], probabilities < SPEECH_PROBABILITY, [0])).astype(np.int8)))
    starts, ends = silent[::2], silent[1::2]
    if not len(starts):
        return int(np.argmin(probabilities))
    longest = int(np.argmax(ends - starts))
    return int((starts[longest] + ends[longest]) // 2)


def segment_clip(samples: np.ndarray, detector: SpeechDetector) -> tuple[tuple[Segment, ...], float, float | None]:
    """Return segments that cover the clip without gap or overlap, the share of speech (0 to 1), and the SNR in dB."""
    length = len(samples)
    probabilities = detector.probabilities(samples)
    spans = speech_spans(probabilities, length)
    bounds = cut_points(probabilities, length)
    segments = tuple(
        Segment(start, end, sum(max(0, min(end, to) - max(start, since)) for since, to in spans))
        for start, end in itertools.pairwise(bounds)
    )
    return segments, sum(segment.speech for segment in segments) / length, signal_to_noise_db(samples, spans)


class _SegmentShard(beam.DoFn):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._shared = Shared()
        self._detector: SpeechDetector | None = None

    def process(self, shard: DecodedShard) -> Iterator[DecodedShard]:
        self._detector = self._shared.acquire(SpeechDetector)
        with self._counters.time("segmenting_ms"):
            clips = tuple(_segmented(clip, self._detector) for clip in shard.clips)
        yield dataclasses.replace(shard, clips=clips)


def _segmented(clip: Clip, detector: SpeechDetector) -> Clip:
    segments, speech_ratio, snr_db = segment_clip(clip.samples, detector)
    facts = dataclasses.replace(clip.facts, speech_ratio=speech_ratio, snr_db=snr_db)
    return dataclasses.replace(clip, facts=facts, segments=segments)


class SegmentSpeech(ShardStage):
    """Fills in `segments`, `facts.speech_ratio` and `facts.snr_db` of every clip; Annotate needs the segments."""

    def __init__(self, counters: Counters = NO_RUN):
        super().__init__(_SegmentShard(counters), DecodedShard)
