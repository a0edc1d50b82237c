"""Segments of speech: bounds, lengths, and recordings without speech."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.segments.speech_detector import FRAME_SAMPLES, SpeechDetector
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.segment_speech import MAX_SEGMENT_SAMPLES, cut_points, segment_clip

SECOND = SAMPLE_RATE_HZ
LENGTHS = st.integers(1, 200 * SECOND)


def frames(length):
    return -(-length // FRAME_SAMPLES)


def speech_but_for(length, *pauses):
    """Probabilities of speech everywhere but in the pauses, which are (start, end) in seconds."""
    probabilities = np.full(frames(length), 0.9, dtype=np.float32)
    for start, end in pauses:
        probabilities[int(start * SECOND / FRAME_SAMPLES) : int(end * SECOND / FRAME_SAMPLES)] = 0.05
    return probabilities


def check_cover(bounds, length):
    assert (bounds[0], bounds[-1]) == (0, length)
    assert all(0 < end - start <= MAX_SEGMENT_SAMPLES for start, end in itertools.pairwise(bounds))


@given(LENGTHS, st.integers(0, 2**32 - 1))
def test_segments_cover_any_clip_in_pieces_of_at_most_30_s(length, seed):
    probabilities = np.random.default_rng(seed).random(frames(length), dtype=np.float32)
    check_cover(cut_points(probabilities, length), length)


@given(LENGTHS, st.sampled_from([0.0, 0.5, 1.0]))
def test_segments_cover_a_clip_that_sounds_the_same_throughout(length, probability):
    check_cover(cut_points(np.full(frames(length), probability, dtype=np.float32), length), length)


def test_a_clip_of_30_s_is_not_cut():
    assert cut_points(speech_but_for(30 * SECOND, (14, 16)), 30 * SECOND) == [0, 30 * SECOND]


def test_cuts_are_in_the_middle_of_the_longest_pauses():
    length = 70 * SECOND
    probabilities = speech_but_for(length, (5, 9), (12, 12.5), (20, 21.2), (27, 27.8), (40, 40.4), (48, 50))
    bounds = cut_points(probabilities, length)
    # (5, 9) is longer but too early: a cut there would leave a sliver.
    assert np.array(bounds) / SECOND == pytest.approx([0, 20.6, 49, 70], abs=0.05)


def test_without_a_pause_the_cut_is_at_the_frame_least_like_speech():
    length = 40 * SECOND
    probabilities = speech_but_for(length)
    probabilities[600] = 0.6
    assert cut_points(probabilities, length) == [0, 600 * FRAME_SAMPLES, length]


class Detector:
    """Detects speech with the given probabilities."""

    def __init__(self, probabilities):
        self._probabilities = probabilities

    def probabilities(self, samples):
        assert len(self._probabilities) == frames(len(samples))
        return self._probabilities


def test_the_speech_of_segments_adds_up_to_the_share_of_the_clip():
    length = 50 * SECOND
    samples = np.zeros(length, dtype=np.float32)
    segments, ratio, _ = segment_clip(samples, Detector(speech_but_for(length, (22, 28))))
    assert [segment.start for segment in segments[1:]] == [segment.end for segment in segments[:-1]]
    assert [segment.speech / SECOND for segment in segments] == pytest.approx([22, 22], abs=0.1)
    assert ratio == pytest.approx(44 / 50, abs=0.005)


@pytest.mark.model
@pytest.mark.parametrize("length", [1, 100, FRAME_SAMPLES, 3 * SECOND])
def test_a_short_silent_clip_is_one_segment_without_speech(length):
    (segment,), ratio, snr_db = segment_clip(np.zeros(length, dtype=np.float32), SpeechDetector())
    assert (segment.start, segment.end, segment.speech, ratio, snr_db) == (0, length, 0, 0.0, None)
