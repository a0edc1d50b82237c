"""Reads audio files of any kind as float32 mono at SAMPLE_RATE_HZ, equal to `librosa.load(path, sr=16000)` and faster.

Everything streams: one block is in memory at a time. soxr resamples the mono mix at librosa's quality.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import av
import numpy as np
import soundfile
import soxr

from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio.open_audio import Source, frames_in
from earmark.transforms.audio.read_ffmpeg import open_ffmpeg
from earmark.transforms.audio.read_libsndfile import check_wav_is_whole, is_for_libsndfile, open_libsndfile

FLOOR_DBFS = -144.0  # the step of 24-bit audio; the level of digital silence
CLIPPED = 0.999  # of full scale


@dataclass(slots=True)
class Levels:
    """Levels of the source, summed over its blocks and over all channels that are used."""

    values: int = 0
    square_sum: float = 0.0
    peak: float = 0.0
    clipped: int = 0

    def add(self, block: np.ndarray) -> None:
        """Raises RowError for NaN and infinity."""
        flat = block.ravel("K")
        peak = float(max(flat.max(), -flat.min()))
        if not math.isfinite(peak):
            raise RowError("not_finite", "the file holds NaN or infinity instead of sound; write it again")
        self.values += flat.size
        self.square_sum += float(np.dot(flat, flat))
        self.peak = max(self.peak, peak)
        if peak >= CLIPPED:
            self.clipped += int(np.count_nonzero(np.abs(flat) >= CLIPPED))

    @property
    def rms_dbfs(self) -> float:
        return to_dbfs(math.sqrt(self.square_sum / self.values)) if self.values else FLOOR_DBFS


def to_dbfs(amplitude: float) -> float:
    """Convert an amplitude to dB of full scale, not below FLOOR_DBFS."""
    return max(20 * math.log10(amplitude), FLOOR_DBFS) if amplitude > 0 else FLOOR_DBFS


def resampled_blocks(
    source: Source, channel: int | None, duration_s: float | None, max_duration_s: float, levels: Levels
) -> Iterator[np.ndarray]:
    """Yield blocks of float32 of shape (samples,) at SAMPLE_RATE_HZ: the mean of the channels, or a single channel.

    Args:
        duration_s: Duration to read from the source; None to read it to its end.
        max_duration_s: Longest duration allowed; checked while decoding, whatever the header says.
        levels: Levels to which each block is added before it is mixed and resampled.

    Raises:
        RowError: The source is longer than `max_duration_s`, has no such channel, or cannot be decoded.
    """
    if channel is not None and channel >= source.channels:
        raise RowError("no_such_channel", f"channel {channel} of a file with {source.channels}; count from 0")
    rate = source.sample_rate
    max_frames = sys.maxsize if duration_s is None else frames_in(duration_s, rate)
    resampler = None if rate == SAMPLE_RATE_HZ else soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, "float32", "HQ")
    mix = np.full(source.channels, 1 / source.channels, dtype=np.float32)
    frames = 0
    for block in source.blocks:
        block = block[: max_frames - frames]
        frames += len(block)
        if frames > max_duration_s * rate:
            raise RowError("too_long", f"longer than {max_duration_s:g} s; cut it, or raise --max_duration_s")
        if len(block):
            block = block if channel is None else block[:, channel : channel + 1]
            levels.add(block)
            mono = block[:, 0] if block.shape[1] == 1 else block @ mix
            yield mono if resampler is None else resampler.resample_chunk(np.ascontiguousarray(mono))
        if frames >= max_frames:
            break
    if resampler is not None and frames:
        yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


@contextmanager
def open_source(path: str, offset_s: float) -> Iterator[Source]:
    """Open an audio file at `offset_s`, with the reader chosen by its first bytes.

    Raises:
        RowError: It is no audio, is damaged, or ends before the offset.
    """
    with open(path, "rb") as file:
        first_bytes = file.read(64)
    if not first_bytes:
        raise RowError("empty_file", "the file is empty; fetch or record it again")
    if first_bytes[:4] == b"RIFF":
        check_wav_is_whole(path)
    opened: AbstractContextManager[Source]
    try:
        opened = (
            open_libsndfile(path, offset_s) if is_for_libsndfile(path, first_bytes) else open_ffmpeg(path, offset_s)
        )
        with opened as source:
            if source.sample_rate <= 0 or source.channels <= 0:
                shape = f"{source.sample_rate} Hz, {source.channels} channels"
                raise RowError("bad_header", f"the header says {shape}; is it audio, and whole?")
            yield source
    except (soundfile.LibsndfileError, av.error.FFmpegError) as error:
        reason = str(error).replace(path, "the file").strip().rstrip(".")
        raise RowError("not_decodable", f"no decoder can read it ({reason}); is it audio, and whole?") from error
