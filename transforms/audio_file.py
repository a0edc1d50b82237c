"""Audio files of any kind as float32 mono at SAMPLE_RATE_HZ, equal to `librosa.load(path, sr=16000)` and faster.

libsndfile reads wav, flac and mp3 that says how long it is, FFmpeg (PyAV) all else; soxr resamples the mono mix at
librosa's quality.
Everything streams: what is held is one block and what the caller keeps.
"""

import itertools
import math
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from schemas.errors import RowError
from schemas.records import SAMPLE_RATE_HZ

BLOCK_VALUES = 2**16  # samples times channels in one block: 256 KB stay in a core's cache and need no fresh pages
FLOOR_DBFS = -144.0  # the step of 24-bit audio; digital silence is written as this
CLIPPED = 0.999  # of full scale
# Demuxers of recordings. Playlists and the like, which make FFmpeg open other files and hosts, are not among them.
FFMPEG_FORMATS = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,caf,flac,g722,gsm,matroska,webm,mov,mp4,mp3,ogg,wav,w64,wv"
PLACEHOLDER_BYTES = 0x7FFFF000  # writers that cannot seek back leave a length at or above this in a wav header
ID3V1_BYTES = 128  # of the tag that may stand at the end of an mp3
FLAC_MAX_FRAMES = 2**36 - 1  # what the header can count to; libsndfile reports more where it does not say

av.logging.set_level(None)


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file: `blocks` yields float32 of shape (frames, channels) from the wanted offset on."""

    sample_rate: int
    channels: int
    codec: str
    blocks: Iterator[np.ndarray]


@dataclass(slots=True)
class Levels:
    """Levels of the source as its blocks go by, over all channels that are listened to."""

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
    """An amplitude as dB of full scale, not below FLOOR_DBFS."""
    return max(20 * math.log10(amplitude), FLOOR_DBFS) if amplitude > 0 else FLOOR_DBFS


def mono_blocks(
    source: Source, channel: int | None, duration_s: float | None, max_duration_s: float, levels: Levels
) -> Iterator[np.ndarray]:
    """Blocks of float32 of shape (samples,) at SAMPLE_RATE_HZ: the mean of the channels, or one of them.

    Args:
        duration_s: how much of the source to take; None for all that there is.
        max_duration_s: more than this is a RowError, noticed while decoding, whatever the header says.
        levels: is told of every block before it is mixed and resampled.
    """
    if channel is not None and channel >= source.channels:
        raise RowError("no_such_channel", f"channel {channel} of a file with {source.channels}; count from 0")
    rate = source.sample_rate
    wanted = sys.maxsize if duration_s is None else _frames(duration_s, rate)
    resampler = None if rate == SAMPLE_RATE_HZ else soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, "float32", "HQ")
    mix = np.full(source.channels, 1 / source.channels, dtype=np.float32)
    taken = 0
    for block in source.blocks:
        block = block[: wanted - taken]
        taken += len(block)
        if taken > max_duration_s * rate:
            raise RowError("too_long", f"longer than {max_duration_s:g} s; cut it, or raise --max_duration_s")
        if len(block):
            block = block if channel is None else block[:, channel : channel + 1]
            levels.add(block)
            mono = block[:, 0] if block.shape[1] == 1 else block @ mix
            yield mono if resampler is None else resampler.resample_chunk(np.ascontiguousarray(mono))
        if taken >= wanted:
            break
    if resampler is not None and taken:
        yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


@contextmanager
def open_source(path: str, offset_s: float) -> Iterator[Source]:
    """Opens an audio file at `offset_s`, with the reader that its first bytes call for.

    Raises:
        RowError: it is no audio, it is damaged, or it ends before the offset.
    """
    with open(path, "rb") as file:
        head = file.read(64)
    if not head:
        raise RowError("empty_file", "the file is empty; fetch or record it again")
    if head[:4] == b"RIFF":
        _check_wav_is_whole(path)
    opened: AbstractContextManager[Source]
    try:
        opened = _open_libsndfile(path, offset_s) if _is_for_libsndfile(path, head) else _open_ffmpeg(path, offset_s)
        with opened as source:
            if source.sample_rate <= 0 or source.channels <= 0:
                found = f"{source.sample_rate} Hz, {source.channels} channels"
                raise RowError("bad_header", f"the header says {found}; is it audio, and whole?")
            yield source
    except (soundfile.LibsndfileError, av.error.FFmpegError) as error:
        reason = str(error).replace(path, "the file").strip().rstrip(".")
        raise RowError("not_decodable", f"no decoder can read it ({reason}); is it audio, and whole?") from error


def _frames(seconds: float, rate: int) -> int:
    return round(min(seconds * rate, sys.maxsize))  # a manifest may ask for 1e300 seconds


def _is_for_libsndfile(path: str, head: bytes) -> bool:
    """wav of plain samples, flac, and mp3 of known length, by their first bytes."""
    is_wav = head[:4] == b"RIFF" and head[8:12] == b"WAVE" and _wav_codec(head) in (b"\1\0", b"\3\0", b"\6\0", b"\7\0")
    return is_wav or head[:4] == b"fLaC" or _is_mp3_of_known_length(path, head)


def _is_mp3_of_known_length(path: str, head: bytes) -> bool:
    """Whether the first frame counts the bytes of the file, and rightly.

    Otherwise (no such count, files put one behind the other, a file cut short) libsndfile takes a length that it
    guessed from the first frames, or that was true once, and stops there without a word.
    """
    start = 0
    if head[:3] == b"ID3":
        start = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    with open(path, "rb") as file:
        file.seek(start)
        frame = file.read(64)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or frame[0] != 0xFF or len(frame) < at + 16 or not frame[at + 7] & 2:
        return False
    (counted,) = struct.unpack_from(">I", frame, at + 8 + 4 * (frame[at + 7] & 1))  # after the count of frames
    return Path(path).stat().st_size - start - counted in (0, ID3V1_BYTES)


def _wav_codec(head: bytes) -> bytes:
    """The two bytes of a wav header that say how samples are coded: integers, floats, A-law, mu-law or other."""
    code = head[20:22]
    return head[44:46] if code == b"\xfe\xff" else code  # WAVE_FORMAT_EXTENSIBLE says it in its sub-format


class _FrontToBack(soundfile.SoundFile):
    """soundfile seeks after every read of a file that says it can; that costs mp3 the decoding of some frames again."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _open_libsndfile(path: str, offset_s: float) -> Iterator[Source]:
    with _FrontToBack(path) as file:
        codec = {"WAV": file.subtype, "WAVEX": file.subtype}.get(file.format, file.format).lower()
        start = _frames(offset_s, file.samplerate)
        if start and start >= file.frames:
            raise _past_end(offset_s, file.frames / file.samplerate)
        if start:
            file.seek(start)
        yield Source(file.samplerate, file.channels, codec, _libsndfile_blocks(file, start))


def _libsndfile_blocks(file: soundfile.SoundFile, start: int) -> Iterator[np.ndarray]:
    frames = max(1, BLOCK_VALUES // file.channels)
    is_16_bit = file.subtype == "PCM_16"  # numpy makes floats of these ten times faster than libsndfile
    position = start
    try:
        while len(block := file.read(frames, dtype="int16" if is_16_bit else "float32", always_2d=True)):
            position += len(block)
            yield np.multiply(block, 2**-15, dtype=np.float32) if is_16_bit else block
    except soundfile.LibsndfileError as error:
        promised_s = file.frames / file.samplerate
        reason = error.error_string.strip().rstrip(".")
        message = f"decoding stops before the {promised_s:g} s that the header promises ({reason}); fetch it again"
        raise RowError("damaged", message) from error
    if file.format == "FLAC" and position < file.frames <= FLAC_MAX_FRAMES:
        raise _cut_short(position / file.samplerate, file.frames / file.samplerate)


def _past_end(offset_s: float, found_s: float) -> RowError:
    return RowError("offset_past_end", f"offset {offset_s:g} s, the file has {found_s:g} s")


def _cut_short(found_s: float, promised_s: float) -> RowError:
    return RowError("cut_short", f"the header promises {promised_s:.3f} s, {found_s:.3f} s are there; fetch it again")


def _check_wav_is_whole(path: str) -> None:
    """Raises RowError where a wav's data chunk is longer than the file: libsndfile shortens it without a word."""
    with open(path, "rb") as file:
        file.seek(12)
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                there = Path(path).stat().st_size - file.tell()
                if there < size < PLACEHOLDER_BYTES:
                    message = f"the wav header promises {size} bytes of audio, {there} are there; fetch it again"
                    raise RowError("cut_short", message)
                return
            file.seek(size + size % 2, 1)


@contextmanager
def _open_ffmpeg(path: str, offset_s: float) -> Iterator[Source]:
    options = {"format_whitelist": FFMPEG_FORMATS, "protocol_whitelist": "file"}
    with av.open(path, options=options, metadata_errors="replace") as container:
        if not container.streams.audio:
            raise RowError("no_audio_stream", f"the file is {container.format.long_name} and holds no audio")
        stream = container.streams.audio[0]
        stream.thread_type = "NONE"  # one child decodes on each core already
        context = stream.codec_context
        codec = context.codec.canonical_name
        frames = _ffmpeg_frames(container, stream)
        blocks = _float_blocks(frames, context.sample_rate, context.layout)
        yield Source(context.sample_rate, context.channels, codec, _skip(blocks, offset_s, context.sample_rate))


def _ffmpeg_frames(container: "av.container.InputContainer", stream: "av.AudioStream") -> Iterator["av.AudioFrame"]:
    """Decodes in one go; a few damaged packets are passed over as every player does, many are a RowError."""
    packets = damaged = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
    if damaged > packets * 0.05:
        raise RowError("damaged", f"{damaged} of {packets} packets cannot be decoded; fetch or encode it again")


def _float_blocks(frames: Iterable["av.AudioFrame"], rate: int, layout: "av.AudioLayout") -> Iterator[np.ndarray]:
    """Frames joined to blocks of float32, all of one rate and layout also where the stream changes them midway."""
    frames_per_block = max(1024, BLOCK_VALUES // layout.nb_channels)
    for _, alike in itertools.groupby(frames, key=lambda frame: (frame.format.name, frame.layout.name, frame.rate)):
        to_float = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        joined = av.AudioFifo()
        for frame in alike:
            frame.pts = None  # gaps between timestamps are no reason to stop
            joined.write(frame)
            if joined.samples >= frames_per_block:
                yield from _arrays(to_float.resample(joined.read()))
        if joined.samples:
            yield from _arrays(to_float.resample(joined.read()))
        yield from _arrays(to_float.resample(None))


def _arrays(frames: Iterable["av.AudioFrame | None"]) -> Iterator[np.ndarray]:
    return (frame.to_ndarray().T for frame in frames if frame is not None)


def _skip(blocks: Iterator[np.ndarray], offset_s: float, rate: int) -> Iterator[np.ndarray]:
    """What comes after the offset: seeking in compressed audio lands beside it, decoding from the start does not."""
    to_skip = _frames(offset_s, rate)
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > to_skip:
            yield block[max(0, len(block) - (seen - to_skip)) :]
    if to_skip and seen <= to_skip:
        raise _past_end(offset_s, seen / rate)
