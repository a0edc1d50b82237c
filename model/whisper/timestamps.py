"""Phrases between the timestamp tokens of Whisper's output."""

from collections.abc import Sequence

from earmark.schemas.records import SAMPLE_RATE_HZ

TIMESTAMP_SAMPLES = SAMPLE_RATE_HZ // 50  # a timestamp token counts 20 ms


def split_at_timestamps(
    tokens: Sequence[int], first_timestamp: int, length: int
) -> list[tuple[int, int, Sequence[int]]]:
    """Phrases as (start, end, tokens), start and end in samples of a segment of `length` samples.

    Whisper writes a phrase between two timestamps. A phrase without an end timestamp ends with the segment, and text
    without any timestamp is one phrase.
    """
    phrases: list[tuple[int, int, Sequence[int]]] = []
    start, phrase = 0, list[int]()
    for token in tokens:
        if token < first_timestamp:
            phrase.append(token)
            continue
        position = min((token - first_timestamp) * TIMESTAMP_SAMPLES, length)
        if phrase:
            phrases.append((start, max(position, start), phrase))
        start, phrase = position, []
    return [*phrases, (start, length, phrase)] if phrase else phrases
