"""Reads by libsndfile the formats that it reads faster than FFmpeg: wav, flac, and mp3 with a known length."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from earmark.schemas.errors import RowError
from earmark.transforms.audio.open_audio import Source, block_frames, frames_in, past_end

PLACEHOLDER_BYTES = 0x7FFFF000  # writers that cannot seek back leave a length at or above this in a wav header
ID3V1_BYTES = 128  # of the tag that an mp3 may end with
FLAC_MAX_FRAMES = 2**36 - 1  # largest count in the header; libsndfile reports more if the header has none


def is_for_libsndfile(path: str, first_bytes: bytes) -> bool:
    """Whether the first bytes are of wav with plain samples, flac, or mp3 of known length."""
    is_wav = (
        first_bytes[:4] == b"RIFF"
        and first_bytes[8:12] == b"WAVE"
        and _wav_codec(first_bytes) in (b"\1\0", b"\3\0", b"\6\0", b"\7\0")
    )
    return is_wav or first_bytes[:4] == b"fLaC" or _is_mp3_of_known_length(path, first_bytes)


def _is_mp3_of_known_length(path: str, first_bytes: bytes) -> bool:
    """Whether the first frame has the number of bytes of the file, and it is right.

    Otherwise (no number, concatenated files, a file cut short) libsndfile silently stops at a length that it guessed
    from the first frames, or that is out of date.
    """
    start = 0
    if first_bytes[:3] == b"ID3":
        start = 10 + sum(byte << shift for byte, shift in zip(first_bytes[6:10], (21, 14, 7, 0), strict=False))
    with open(path, "rb") as file:
        file.seek(start)
        frame = file.read(64)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or frame[0] != 0xFF or len(frame) < at + 16 or not frame[at + 7] & 2:
        return False
    (counted,) = struct.unpack_from(">I", frame, at + 8 + 4 * (frame[at + 7] & 1))  # after the count of frames
    return Path(path).stat().st_size - start - counted in (0, ID3V1_BYTES)


def _wav_codec(first_bytes: bytes) -> bytes:
    """The two bytes of a wav header with the coding of the samples: integers, floats, A-law, mu-law or other."""
    code = first_bytes[20:22]
    return first_bytes[44:46] if code == b"\xfe\xff" else code  # WAVE_FORMAT_EXTENSIBLE has it in its sub-format


def check_wav_is_whole(path: str) -> None:
    """Raises RowError if a wav's data chunk is longer than the file, which libsndfile would silently shorten."""
    with open(path, "rb") as file:
        file.seek(12)
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                present = Path(path).stat().st_size - file.tell()
                if present < size < PLACEHOLDER_BYTES:
                    message = f"the wav header promises {size} bytes of audio, {present} are there; fetch it again"
                    raise RowError("cut_short", message)
                return
            file.seek(size + size % 2, 1)


class _FrontToBack(soundfile.SoundFile):
    """A file read from front to back: soundfile seeks after each read, which would decode mp3 frames twice."""

    def seekable(self) -> bool:
        return False


@contextmanager
def open_libsndfile(path: str, offset_s: float) -> Iterator[Source]:
    with _FrontToBack(path) as file:
        codec = {"WAV": file.subtype, "WAVEX": file.subtype}.get(file.format, file.format).lower()
        start = frames_in(offset_s, file.samplerate)
        if start and start >= file.frames:
            raise past_end(offset_s, file.frames / file.samplerate)
        if start:
            file.seek(start)
        yield Source(file.samplerate, file.channels, codec, _libsndfile_blocks(file, start))


def _libsndfile_blocks(file: soundfile.SoundFile, start: int) -> Iterator[np.ndarray]:
    frames = block_frames(file.samplerate, file.channels)
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


def _cut_short(read_s: float, promised_s: float) -> RowError:
    return RowError("cut_short", f"the header promises {promised_s:.3f} s, {read_s:.3f} s are there; fetch it again")
