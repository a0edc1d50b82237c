"""libsndfile as the reader of what it reads faster than FFmpeg: wav, flac, and mp3 that says how long it is."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from earmark.schemas.errors import RowError
from earmark.transforms.audio.open_audio import Source, block_frames, frames_in, past_end

PLACEHOLDER_BYTES = 0x7FFFF000  # writers that cannot seek back leave a length at or above this in a wav header
ID3V1_BYTES = 128  # of the tag that may stand at the end of an mp3
FLAC_MAX_FRAMES = 2**36 - 1  # what the header can count to; libsndfile reports more where it does not say


def is_for_libsndfile(path: str, head: bytes) -> bool:
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


def check_wav_is_whole(path: str) -> None:
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


class _FrontToBack(soundfile.SoundFile):
    """soundfile seeks after every read of a file that says it can; that costs mp3 the decoding of some frames again."""

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


def _cut_short(found_s: float, promised_s: float) -> RowError:
    return RowError("cut_short", f"the header promises {promised_s:.3f} s, {found_s:.3f} s are there; fetch it again")
