"""Checks of codecs: earmark's decoder decodes a second of a tone that this machine's encoders wrote."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from earmark.pipeline.doctor.check import Check
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests

TONE_HZ = 440.0
TONE_S = 1.0
AMPLITUDE = 0.3
NEAR_HZ = 5.0
LIMIT_S = 10.0
MAX_SAMPLES = 10 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Sample:
    """A kind of audio file.

    Attributes:
        write: Writes a file of the tone; raises LookupError where there is no encoder.
        decoder: FFmpeg's decoder, which is looked up where there is no encoder.
    """

    name: str
    suffix: str
    write: Callable[[Path], None]
    decoder: str


def _by_libsndfile(container: str, subtype: str, rate: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        if subtype not in soundfile.available_subtypes(container):
            raise LookupError(f"libsndfile has no {subtype}")
        soundfile.write(path, _tone(rate), rate, format=container, subtype=subtype)

    return write


def _by_ffmpeg(codec: str, rate: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        try:
            av.codec.Codec(codec, "w")
        except ValueError as error:  # which includes PyAV's UnknownCodecError
            raise LookupError(f"FFmpeg has no encoder {codec}") from error
        frame = av.AudioFrame.from_ndarray(_tone(rate)[None], "fltp", "mono")
        frame.sample_rate = rate
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            stream.codec_context.open()
            convert = av.AudioResampler(stream.format, "mono", rate, stream.codec_context.frame_size or 1024)
            for part in convert.resample(frame) + convert.resample(None):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))

    return write


def _tone(rate: int) -> np.ndarray:
    return (AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * np.arange(round(TONE_S * rate)) / rate)).astype(np.float32)


SAMPLES = (
    Sample("wav", ".wav", _by_libsndfile("WAV", "PCM_16", 16_000), "pcm_s16le"),
    Sample("flac", ".flac", _by_libsndfile("FLAC", "PCM_16", 44_100), "flac"),
    Sample("mp3", ".mp3", _by_libsndfile("MP3", "MPEG_LAYER_III", 44_100), "mp3"),
    Sample("ogg/vorbis", ".ogg", _by_libsndfile("OGG", "VORBIS", 44_100), "vorbis"),
    Sample("opus", ".opus", _by_ffmpeg("libopus", 48_000), "opus"),
    Sample("m4a/aac", ".m4a", _by_ffmpeg("aac", 44_100), "aac"),
    Sample("aac", ".aac", _by_ffmpeg("aac", 44_100), "aac"),
    Sample("webm", ".webm", _by_ffmpeg("libopus", 48_000), "opus"),
    Sample("amr", ".amr", _by_ffmpeg("libopencore_amrnb", 8_000), "amrnb"),
    Sample("gsm", ".gsm", _by_libsndfile("RAW", "GSM610", 8_000), "gsm"),
    Sample("g722", ".g722", _by_ffmpeg("g722", 16_000), "g722"),
)


def codecs() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="earmark-doctor-") as folder:
        for number, sample in enumerate(SAMPLES):
            yield _check(sample, Path(folder) / f"{number}{sample.suffix}")


def _check(sample: Sample, path: Path) -> Check:
    try:
        sample.write(path)
    except LookupError as error:
        return _untried(sample, error)
    (decoded,) = decode_requests(
        [DecodeRequest(Recording(sample.name, str(path)), LIMIT_S, LIMIT_S, MAX_SAMPLES, str(path.parent))]
    )
    problem = decoded.message if isinstance(decoded, RowError) else _problem(decoded)
    if problem:
        remedy = "pip install --force-reinstall av soundfile, whose wheels bring FFmpeg and libsndfile"
        return Check("codecs", sample.name, "problem", problem, remedy)
    return Check("codecs", sample.name, "ok", "decoded")


def _problem(decoded: DecodedAudio) -> str:
    """The difference between the decoded audio and the tone; "" for none."""
    spectrum = np.abs(np.fft.rfft(decoded.samples * np.hanning(len(decoded.samples))))
    loudest_hz = float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / len(decoded.samples)
    if abs(loudest_hz - TONE_HZ) > NEAR_HZ:
        return f"a tone of {TONE_HZ:g} Hz was decoded as {loudest_hz:.0f} Hz"
    if abs(decoded.facts.duration_s - TONE_S) > 0.1 * TONE_S:  # codecs pad their last frame
        return f"{TONE_S:g} s were decoded as {decoded.facts.duration_s:.2f} s"
    return ""


def _untried(sample: Sample, reason: LookupError) -> Check:
    try:
        av.codec.Codec(sample.decoder, "r")
    except ValueError:
        remedy = "pip install --force-reinstall av, whose wheel brings FFmpeg; or convert such files"
        return Check("codecs", sample.name, "warning", f"FFmpeg has no decoder {sample.decoder}", remedy)
    return Check("codecs", sample.name, "ok", f"there is a decoder, which was not tried ({reason})")
