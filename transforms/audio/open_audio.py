"""An opened audio file, independent of the library that reads it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earmark.schemas.errors import RowError

BLOCK_VALUES = 2**16  # samples times channels in one block: 256 KB stay in a core's cache and need no fresh pages
BLOCK_S = 10.0  # the most in one block: at the 1 Hz that a header may claim, 2**16 samples grow to 4 GB when resampled


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file; `blocks` yields float32 of shape (frames, channels) from the requested offset on."""

    sample_rate: int
    channels: int
    codec: str
    blocks: Iterator[np.ndarray]


def block_frames(rate: int, channels: int) -> int:
    """Number of frames that a reader puts into one block."""
    return max(1, min(BLOCK_VALUES // channels, round(BLOCK_S * rate)))


def frames_in(seconds: float, rate: int) -> int:
    return round(min(seconds * rate, sys.maxsize))  # a manifest may hold 1e300 seconds


def past_end(offset_s: float, duration_s: float) -> RowError:
    return RowError("offset_past_end", f"offset {offset_s:g} s, the file has {duration_s:g} s")
