"""split_at_timestamps: token 100 is 0.00 s, 101 is 0.02 s and so on; lower tokens are text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.whisper.timestamps import split_at_timestamps
from earmark.schemas.records import SAMPLE_RATE_HZ

ZERO = 100
LENGTH = 30 * SAMPLE_RATE_HZ


def at(seconds):
    return ZERO + round(seconds * 50)


def split(tokens, length_s=30.0):
    phrases = split_at_timestamps(tokens, ZERO, round(length_s * SAMPLE_RATE_HZ))
    return [(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, text) for start, end, text in phrases]


@pytest.mark.parametrize(
    ("tokens", "phrases"),
    [
        ([], []),
        ([at(0), at(0)], []),
        ([1, 2], [(0, 30, [1, 2])]),
        ([at(0), 1, 2, at(2.5)], [(0, 2.5, [1, 2])]),
        ([at(0.5), 1, at(2), at(2), 2, at(4.04)], [(0.5, 2, [1]), (2, 4.04, [2])]),
        ([at(1), 1, at(2), at(5), 2, at(6)], [(1, 2, [1]), (5, 6, [2])]),
        ([at(0), 1, at(2), at(3), 2], [(0, 2, [1]), (3, 30, [2])]),
    ],
)
def test_phrases_lie_between_their_timestamps(tokens, phrases):
    assert split(tokens) == phrases


def test_a_phrase_never_ends_after_its_segment():
    assert split([at(0), 1, at(28)], length_s=3.3) == [(0, 3.3, [1])]


@given(st.lists(st.integers(0, ZERO + 1500)), st.integers(1, LENGTH))
def test_no_token_is_lost_and_no_time_lies_outside(tokens, length):
    phrases = split_at_timestamps(tokens, ZERO, length)
    assert [token for _, _, phrase in phrases for token in phrase] == [token for token in tokens if token < ZERO]
    assert all(0 <= start <= end <= length for start, end, _ in phrases)
