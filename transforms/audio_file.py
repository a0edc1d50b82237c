"""Audio files of any kind as float32 mono at SAMPLE_RATE_HZ, equal to `librosa.load(path, sr=16000)` and faster.

libsndfile reads wav, flac and mp3, FFmpeg (PyAV) all else; soxr resamples the mono mix at librosa's quality.
Everything streams: what is held is one block and what the caller keeps.
"""

import math
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from schemas.errors import RowError
from schemas.records import SAMPLE_RATE_HZ

BLOCK_VALUES = 2**21  # samples times channels in one block: 8 MB
FLOOR_DBFS = -144.0  # the step of 24-bit audio; digital silence is written as this
CLIPPED = 0.999  # of full scale
# Demuxers of recordings. Playlists and the like, which make FFmpeg open other files and hosts, are not among them.
FFMPEG_FORMATS = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,caf,flac,g722,gsm,matroska,webm,mov,mp4,mp3,ogg,wav,w64,wv"
PLACEHOLDER_BYTES = 0x7FFFF000  # writers that cannot seek back leave a length at or above this in a wav header

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
        flat = block.reshape(-1)
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
    wanted = math.inf if duration_s is None else round(duration_s * rate)
    resampler = None if rate == SAMPLE_RATE_HZ else soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, "float32", "HQ")
    mix = np.full(source.channels, 1 / source.channels, dtype=np.float32)
    taken = 0
    for block in source.blocks:
        block = block[: int(min(wanted - taken, len(block)))]
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
    opened: AbstractContextManager[Source]
    try:
        opened = _open_libsndfile(path, offset_s) if _is_for_libsndfile(head) else _open_ffmpeg(path, offset_s)
        with opened as source:
            if source.sample_rate <= 0 or source.channels <= 0:
                raise RowError("bad_header", f"the header says {source.sample_rate} Hz, {source.channels} channels")
            yield source
    except (soundfile.LibsndfileError, av.error.FFmpegError) as error:
        reason = str(error).replace(path, "the file").strip().rstrip(".")
        raise RowError("not_decodable", f"no decoder can read it ({reason}); is it audio, and whole?") from error


def _is_for_libsndfile(head: bytes) -> bool:
    """wav, flac and mp3 (a tag, or the sync word with layer III), by their first bytes."""
    is_mp3_frame = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    is_wav = head[:4] == b"RIFF" and head[8:12] == b"WAVE" and _wav_codec(head) in (b"\1\0", b"\3\0", b"\6\0", b"\7\0")
    return is_wav or is_mp3_frame or head[:4] == b"fLaC" or head[:3] == b"ID3"


def _wav_codec(head: bytes) -> bytes:
    """The two bytes of a wav header that say how samples are coded: integers, floats, A-law, mu-law or other."""
    code = head[20:22]
    return head[44:46] if code == b"\xfe\xff" else code  # WAVE_FORMAT_EXTENSIBLE says it in its sub-format


@contextmanager
def _open_libsndfile(path: str, offset_s: float) -> Iterator[Source]:
    _check_wav_is_whole(path)
    with soundfile.SoundFile(path) as file:
        codec = {"WAV": file.subtype, "WAVEX": file.subtype}.get(file.format, file.format).lower()
        start = round(offset_s * file.samplerate)
        if start and start >= file.frames:
            raise RowError(
                "offset_past_end", f"offset {offset_s:g} s, the file has {file.frames / file.samplerate:g} s"
            )
        if start:
            file.seek(start)
        yield Source(file.samplerate, file.channels, codec, _libsndfile_blocks(file, start))


def _libsndfile_blocks(file: soundfile.SoundFile, start: int) -> Iterator[np.ndarray]:
    frames = max(1, BLOCK_VALUES // file.channels)
    position = start
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        position += len(block)
        yield block
    if file.format == "FLAC" and position < file.frames:
        raise _cut_short(position / file.samplerate, file.frames / file.samplerate)


def _cut_short(found_s: float, promised_s: float) -> RowError:
    return RowError("cut_short", f"the header promises {promised_s:.3f} s, {found_s:.3f} s are there; fetch it again")


def _check_wav_is_whole(path: str) -> None:
    """Raises RowError where a wav's data chunk is longer than the file: libsndfile shortens it without a word."""
    with open(path, "rb") as file:
        if file.read(4) != b"RIFF":
            return
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
        context = stream.codec_context
        blocks = _ffmpeg_blocks(container, stream, context.sample_rate, context.channels)
        yield Source(context.sample_rate, context.channels, context.name, _skip(blocks, offset_s, context.sample_rate))


def _ffmpeg_blocks(
    container: "av.container.InputContainer", stream: "av.AudioStream", rate: int, channels: int
) -> Iterator[np.ndarray]:
    """Decodes in one go; a few damaged packets are passed over as every player does, many are a RowError."""
    to_float = av.AudioResampler(format="fltp", rate=rate, frame_size=max(1024, BLOCK_VALUES // (4 * channels)))
    packets = damaged = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
            continue
        for frame in frames:
            for part in to_float.resample(frame):
                yield part.to_ndarray().T
    for part in to_float.resample(None):
        yield part.to_ndarray().T
    if damaged > packets * 0.05:
        raise RowError("damaged", f"{damaged} of {packets} packets cannot be decoded; fetch or encode it again")


def _skip(blocks: Iterator[np.ndarray], offset_s: float, rate: int) -> Iterator[np.ndarray]:
    """What comes after the offset: seeking in compressed audio lands beside it, decoding from the start does not."""
    to_skip = round(offset_s * rate)
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > to_skip:
            yield block[max(0, len(block) - (seen - to_skip)) :]
    if to_skip and seen <= to_skip:
        raise RowError("offset_past_end", f"offset {offset_s:g} s, the file has {seen / rate:g} s")
