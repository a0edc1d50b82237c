"""Distributions of recording and segment lengths, from a sample."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.pipeline.plan.lengths import count_lengths, estimate_lengths

seconds = st.floats(0.01, 1e5)


def test_a_length_belongs_to_the_class_that_it_starts():
    classes = count_lengths([0.1, 4.99, 5.0, 29.9, 30.0, 300.0, 1799.0, 1800.0, 9000.0])
    assert [(one.from_s, one.to_s, one.recordings) for one in classes] == [
        (0.0, 5.0, 2),
        (5.0, 30.0, 2),
        (30.0, 300.0, 1),
        (300.0, 1800.0, 2),
        (1800.0, None, 2),
    ]
    assert [length.seconds for length in classes] == pytest.approx([5.09, 34.9, 30.0, 2099.0, 10800.0])


@given(st.lists(seconds), st.lists(seconds, min_size=1), st.integers(1, 10_000))
def test_the_classes_add_up_to_all_recordings_and_all_hours(known, probed, unknown):
    lengths = estimate_lengths(count_lengths(known), unknown, probed)
    assert sum(length.recordings + length.estimated_recordings for length in lengths.classes) == pytest.approx(
        len(known) + unknown
    )
    assert sum(length.seconds + length.estimated_s for length in lengths.classes) == pytest.approx(lengths.audio_s)
    assert lengths.audio_s == pytest.approx(sum(known) + unknown * sum(probed) / len(probed))


def test_lengths_that_the_manifest_lacks_are_estimated_with_an_interval():
    lengths = estimate_lengths(count_lengths([10.0] * 4), 1000, [2.0, 4.0, 6.0, 0.0])
    assert (lengths.known_s, lengths.unknown, lengths.probed, lengths.estimated_s, lengths.audio_s) == (
        40,
        1000,
        4,
        3000,
        3040,
    )
    # The sample's variance is 20/3; 4 of 1000 are no part of the error.
    assert lengths.error_s == pytest.approx(1.96 * 1000 * math.sqrt(20 / 3 / 4 * (1 - 4 / 1000)))
    assert [length.estimated_recordings for length in lengths.classes[:2]] == [500, 250], (
        "one of the four cannot be decoded"
    )


def test_without_a_probe_nothing_is_estimated():
    lengths = estimate_lengths(count_lengths([10.0]), 3, [])
    assert (lengths.known_s, lengths.estimated_s, lengths.error_s, lengths.audio_s) == (10, None, None, None)
    complete = estimate_lengths(count_lengths([10.0]), 0, [])
    assert (complete.estimated_s, complete.error_s, complete.audio_s) == (0, 0, 10)


def test_a_sample_of_all_has_no_error():
    assert estimate_lengths(count_lengths([]), 2, [1.0, 3.0]).error_s == 0
    assert estimate_lengths(count_lengths([]), 2, [1.0]).error_s is None
