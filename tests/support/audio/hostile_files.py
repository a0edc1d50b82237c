"""Files and addresses that a manifest may name by mistake or malice, each with how it has to end."""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from earmark.schemas.records import SAMPLE_RATE_HZ

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
BOMB_S = 10 * 3600
BOMB_BLOCK_FRAMES = 65535  # the longest that FLAC has
BOMB_RATE_HZ = 16_000
MKA_CODEC = b"A_PCM/INT/LIT"
MKA_RATE = b"\xb5\x88" + struct.pack(">d", float(SAMPLE_RATE_HZ))  # element, length, value


@dataclass(frozen=True)
class HostileFile:
    """Audio at `uri`, decoded as one clip where `error` is empty, else a RowError of that code."""

    name: str
    uri: str
    error: str


def make_hostile_files(folder: Path) -> list[HostileFile]:
    """Write the files into `folder`; list them, and URLs without a file."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, content, error in _contents():
        (folder / name).write_bytes(content)
        listed.append(HostileFile(name, str(folder / name), error))
    write_flac_bomb(folder / "bomb.flac")
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    (folder / "other.ffconcat").write_text("ffconcat version 1.0\nfile good.wav\n")
    (folder / "other.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{folder / 'good.wav'}\n#EXT-X-ENDLIST\n"
    )
    placed = {
        "bomb.flac": "too_long",
        "folder.wav": "not_a_file",
        "pipe.wav": "not_a_file",
        "other.ffconcat": "not_decodable",
        "other.m3u8": "not_decodable",
        "missing.wav": "not_found",
        "n" * 300 + ".wav": "fetch_failed",
    }
    listed += [HostileFile(name, str(folder / name), error) for name, error in placed.items()]
    listed += [
        HostileFile("unknown scheme", "nowhere://host/a.wav", "unsupported_scheme"),
        HostileFile("scheme that wants more than a URL", "reference://a.wav", "unsupported_scheme"),
        HostileFile("nothing listens", "http://127.0.0.1:9/a.wav", "fetch_failed"),
        HostileFile("broken address", "http://[::1/a.wav", "fetch_failed"),
        HostileFile("folder of a store", "memory://", "not_a_file"),
        HostileFile("broken zip", f"zip://a.wav::file://{folder / 'page.mp3'}", "fetch_failed"),
        HostileFile("broken tar", f"tar://a.wav::file://{folder / 'page.mp3'}", "fetch_failed"),
    ]
    return listed


def _contents() -> Iterator[tuple[str, bytes, str]]:
    """(name, bytes, expected error) of every file that is no more than its bytes."""
    tone = (0.3 * np.sin(np.arange(SAMPLE_RATE_HZ) * 0.2)).astype(np.float32)
    wav, flac, mp3 = encode(tone, "WAV"), encode(tone, "FLAC"), encode(tone, "MP3")
    yield "good.wav", wav, ""
    for name in ("two words.wav", "line\nbreak.wav", "ear 👂.wav", "slash%2Fslash.wav", "a#b?c=d.wav", "colon:::.wav"):
        yield name, wav, ""
    yield "flac_named_mp3.mp3", flac, ""
    yield "silence.wav", encode(np.zeros(SAMPLE_RATE_HZ, np.float32), "WAV"), ""
    yield "one_sample.wav", encode(tone[:1], "WAV"), ""
    yield "channels_24.wav", encode(np.repeat(tone[:, None], 24, axis=1), "WAV"), ""
    yield "channels_9.aiff", encode(np.repeat(tone[:, None], 9, axis=1), "AIFF"), ""
    yield "channels_24.aiff", encode(np.repeat(tone[:, None], 24, axis=1), "AIFF"), ""
    yield "rate_192k.wav", encode(tone, "WAV", rate=192_000), ""
    yield "bits_8.wav", encode(tone, "WAV", subtype="PCM_U8"), ""
    yield "mp3_cut_in_a_frame.mp3", mp3[: len(mp3) // 2], ""  # an mp3 has no length to be short of
    yield "zero_bytes.wav", b"", "empty_file"
    yield "no_frames.wav", encode(tone[:0], "WAV"), "no_audio"
    yield "cut.wav", wav[: len(wav) // 2], "cut_short"
    yield "cut.flac", flac[: len(flac) // 2], "damaged"
    yield "cut_header.wav", wav[:30], "not_decodable"
    yield "cut_header.flac", flac[:30], "not_decodable"
    yield "cut_header.mp3", mp3[:60], "not_decodable"
    yield "lying_length.wav", wav[:40] + struct.pack("<I", 2 * len(wav)) + wav[44:], "cut_short"
    yield "rate_0.wav", wav[:24] + struct.pack("<I", 0) + wav[28:], "not_decodable"
    yield "rate_1.wav", wav[:24] + struct.pack("<I", 1) + wav[28:], "too_long"
    yield "rate_1_for_long.wav", encode(tone[:3000], "WAV", rate=1), ""
    yield "channels_0.wav", wav[:22] + struct.pack("<H", 0) + wav[24:], "not_decodable"
    not_numbers = tone.copy()
    not_numbers[1000] = np.nan
    yield "nan.wav", encode(not_numbers, "WAV", subtype="FLOAT"), "not_finite"
    not_numbers[1000] = np.inf
    yield "infinity.wav", encode(not_numbers, "WAV", subtype="FLOAT"), "not_finite"
    yield "page.mp3", b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 20, "not_decodable"
    yield "picture.wav", PNG, "not_decodable"
    yield "text.flac", b"this is no audio\n" * 100, "bad_header"
    yield "noise.wav", np.random.default_rng(0).bytes(10_000), "not_decodable"
    mka = _matroska(tone[:3000])
    yield "rate_1_for_long.mka", mka.replace(MKA_RATE, MKA_RATE[:2] + struct.pack(">d", 1.0)), ""
    yield (
        "codec_without_decoder.mka",
        mka.replace(MKA_CODEC, b"A_AC4".ljust(len(MKA_CODEC), b"\0")),
        "unsupported_codec",
    )
    yield "video_without_sound.mkv", _silent_video(), "no_audio_stream"


def encode(samples: np.ndarray, container: str, rate: int = SAMPLE_RATE_HZ, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype=subtype)
    return buffer.getvalue()


def _matroska(samples: np.ndarray) -> bytes:
    """Plain samples in Matroska."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.int16(samples[None] * 2**15), "s16", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        container.mux(stream.encode(frame) + stream.encode(None))
    return buffer.getvalue()


def _silent_video() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1, width=16, height=16, pix_fmt="yuvj420p")
        frame = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuvj420p")
        container.mux(stream.encode(frame) + stream.encode(None))
    return buffer.getvalue()


def write_flac_bomb(path: Path) -> None:
    """10 hours of silence: frames of one constant each, made of one real frame by counting it on."""
    frames = BOMB_S * BOMB_RATE_HZ // BOMB_BLOCK_FRAMES
    info = struct.pack(">HH3s3s", BOMB_BLOCK_FRAMES, BOMB_BLOCK_FRAMES, bytes(3), bytes(3))
    packed = BOMB_RATE_HZ << 44 | 15 << 36 | frames * BOMB_BLOCK_FRAMES  # rate, mono of 16 bits, length
    header = b"fLaC" + b"\x80\x00\x00\x22" + info + packed.to_bytes(8, "big") + bytes(16)
    with open(path, "wb") as file:
        file.write(header)
        for number in range(frames):
            # Sync, 16-bit block length at the end of the header, rate and width as in the info; then a constant 0.
            start = b"\xff\xf8\x70\x00" + chr(number).encode("utf-8", "surrogatepass")
            start += struct.pack(">H", BOMB_BLOCK_FRAMES - 1)
            frame = start + bytes([_crc(start, 0x107, 8)]) + b"\x00\x00\x00"
            file.write(frame + _crc(frame, 0x18005, 16).to_bytes(2, "big"))


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    value = 0
    for byte in content:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) & 1 else 0)
    return value & (1 << bits) - 1
