"""Decoding against librosa's, which the models were evaluated with, and against tones of known frequency."""

from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile

from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio import open_audio as audio_source
from earmark.transforms.audio.audio_file import CLIPPED, Levels, open_source, resampled_blocks

TONE_HZ = 440


def decode(path, offset_s=0.0, duration_s=None, channel=None, max_duration_s=100.0, levels=None):
    with open_source(str(path), offset_s) as source:
        blocks = resampled_blocks(source, channel, duration_s, max_duration_s, Levels() if levels is None else levels)
        return np.concatenate([np.zeros(0, np.float32), *blocks])


def recording(rate, channels, seconds=2.0):
    """A tone and noise, another one in each channel: float32 of shape (frames, channels)."""
    times = np.arange(round(seconds * rate))[:, None] / rate
    tones = 0.3 * np.sin(2 * np.pi * times * (TONE_HZ + 110 * np.arange(channels)))
    return (tones + 0.02 * np.random.default_rng(0).standard_normal(tones.shape)).astype(np.float32)


def encode(path, codec, rate, channels=1, seconds=2.0):
    """A clean tone through one of FFmpeg's encoders; skips where this FFmpeg lacks it."""
    try:
        av.codec.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    layout = {1: "mono", 2: "stereo"}[channels]
    tone = 0.3 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(seconds * rate)) / rate)
    frame = av.AudioFrame.from_ndarray(np.repeat(tone[None], channels, 0).astype(np.float32), "fltp", layout)
    frame.sample_rate = rate
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.open()
        convert = av.AudioResampler(stream.format, layout, rate, stream.codec_context.frame_size or 1024)
        for part in convert.resample(frame) + convert.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def error_db(decoded, expected):
    """The difference, relative to what is expected; lengths may differ by the sample that librosa rounds up."""
    assert abs(len(decoded) - len(expected)) <= 1
    length = min(len(decoded), len(expected))
    decoded, expected = decoded[:length].astype(np.float64), expected[:length].astype(np.float64)
    return 10 * np.log10(np.sum((decoded - expected) ** 2) / np.sum(expected**2) + 1e-30)


def loudest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / len(samples)


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("a.wav", 16_000, 1, "PCM_16"),
        ("a.wav", 8_000, 1, "PCM_16"),
        ("a.wav", 44_100, 2, "PCM_16"),
        ("a.wav", 48_000, 1, "PCM_24"),
        ("a.wav", 44_100, 2, "FLOAT"),
        ("a.wav", 22_050, 1, "PCM_U8"),
        ("a.wav", 8_000, 1, "ULAW"),
        ("a.wav", 48_000, 6, "PCM_16"),
        ("a.aiff", 44_100, 2, "PCM_16"),
        ("a.aiff", 44_100, 9, "PCM_16"),
        ("a.aiff", 48_000, 24, "PCM_16"),
        ("a.flac", 44_100, 2, "PCM_16"),
        ("a.flac", 48_000, 1, "PCM_24"),
        ("a.mp3", 44_100, 2, None),
        ("a.mp3", 16_000, 1, None),
        ("a.ogg", 44_100, 2, "VORBIS"),
    ],
)
def test_samples_are_those_of_librosa(tmp_path, name, rate, channels, subtype):
    soundfile.write(tmp_path / name, recording(rate, channels), rate, subtype=subtype)
    expected, _ = librosa.load(tmp_path / name, sr=SAMPLE_RATE_HZ)
    assert error_db(decode(tmp_path / name), expected) < -60


@pytest.mark.process
@pytest.mark.parametrize("name", ["a.opus", "a.ogg"])
def test_opus_is_librosas_without_the_preskip(tmp_path, name):
    encode(tmp_path / name, "libopus", 48_000, 2)
    expected, _ = librosa.load(tmp_path / name, sr=SAMPLE_RATE_HZ)
    decoded = decode(tmp_path / name)
    errors = []
    for shift in range(121):  # librosa keeps the 6.5 ms that RFC 7845 asks to drop
        length = min(len(expected) - shift, len(decoded))
        errors.append(error_db(decoded[:length], expected[shift : shift + length]))
    assert min(errors) < -60


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [
        ("a.m4a", "aac", 44_100, 2),
        ("a.aac", "aac", 22_050, 1),
        ("a.webm", "libopus", 48_000, 2),
        ("a.mka", "pcm_s16le", 44_100, 2),
        ("a.amr", "libopencore_amrnb", 8_000, 1),
        ("a.amr", "libvo_amrwbenc", 16_000, 1),
        ("a.gsm", "libgsm", 8_000, 1),
        ("a.wav", "g722", 16_000, 1),
        ("a.g722", "g722", 16_000, 1),
        ("a.wav", "adpcm_ima_wav", 22_050, 1),
        ("a.mp3", "libmp3lame", 44_100, 2),
    ],
)
def test_a_tone_comes_back_through_ffmpeg(tmp_path, name, codec, rate, channels):
    encode(tmp_path / name, codec, rate, channels)
    decoded = decode(tmp_path / name)
    assert len(decoded) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=0.1 * SAMPLE_RATE_HZ)
    assert loudest_hz(decoded) == pytest.approx(TONE_HZ, abs=1)
    assert 20 * np.log10(np.sqrt(np.mean(decoded**2))) == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=2)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_offset_and_duration_select_that_part(tmp_path, name):
    soundfile.write(tmp_path / name, recording(SAMPLE_RATE_HZ, 1), SAMPLE_RATE_HZ)
    whole, _ = librosa.load(tmp_path / name, sr=SAMPLE_RATE_HZ)
    part = decode(tmp_path / name, offset_s=0.7, duration_s=0.9)
    assert len(part) == round(0.9 * SAMPLE_RATE_HZ)
    assert error_db(part, whole[round(0.7 * SAMPLE_RATE_HZ) : round(1.6 * SAMPLE_RATE_HZ)]) < -60


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
@pytest.mark.parametrize("offset_s", [2.0, 1e300])
def test_an_offset_past_the_end_is_an_error_with_the_length_of_the_file(tmp_path, name, offset_s):
    soundfile.write(tmp_path / name, recording(SAMPLE_RATE_HZ, 1), SAMPLE_RATE_HZ)
    with pytest.raises(RowError, match=r"offset_past_end.*the file has 2 s"):
        decode(tmp_path / name, offset_s=offset_s)


def test_a_duration_beyond_the_end_stops_at_the_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", recording(SAMPLE_RATE_HZ, 1), SAMPLE_RATE_HZ)
    assert len(decode(tmp_path / "a.wav", offset_s=1.5, duration_s=1e308)) == SAMPLE_RATE_HZ // 2


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
def test_a_channel_is_decoded_alone(tmp_path, name):
    soundfile.write(tmp_path / name, recording(44_100, 2), 44_100)
    expected = librosa.load(tmp_path / name, sr=SAMPLE_RATE_HZ, mono=False)[0][1]
    assert error_db(decode(tmp_path / name, channel=1), expected) < -60


def test_a_channel_that_is_not_there_is_a_failure(tmp_path):
    soundfile.write(tmp_path / "a.wav", recording(SAMPLE_RATE_HZ, 2), SAMPLE_RATE_HZ)
    with pytest.raises(RowError, match="channel 2 of a file with 2; count from 0"):
        decode(tmp_path / "a.wav", channel=2)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_the_size_of_blocks_changes_nothing(tmp_path, monkeypatch, name):
    soundfile.write(tmp_path / name, recording(44_100, 2), 44_100)
    expected, _ = librosa.load(tmp_path / name, sr=SAMPLE_RATE_HZ)
    monkeypatch.setattr(audio_source, "BLOCK_VALUES", 2 * 3001)
    assert error_db(decode(tmp_path / name), expected) < -60


def test_levels_are_numpys_of_the_source(tmp_path, monkeypatch):
    samples = np.clip(4 * recording(44_100, 2), -1, 1)
    soundfile.write(tmp_path / "a.wav", samples, 44_100, subtype="FLOAT")
    monkeypatch.setattr(audio_source, "BLOCK_VALUES", 5000)
    levels = Levels()
    decode(tmp_path / "a.wav", levels=levels)
    assert levels.values == samples.size
    assert levels.peak == np.abs(samples).max()
    assert levels.clipped == np.count_nonzero(np.abs(samples) >= CLIPPED) > 1000
    assert levels.rms_dbfs == pytest.approx(20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2))), abs=1e-4)


def test_too_long_is_noticed_while_decoding(tmp_path):
    soundfile.write(tmp_path / "a.wav", recording(SAMPLE_RATE_HZ, 1), SAMPLE_RATE_HZ)
    with pytest.raises(RowError, match=r"longer than 1\.5 s; cut it, or raise --max_duration_s"):
        decode(tmp_path / "a.wav", max_duration_s=1.5)
    assert len(decode(tmp_path / "a.wav", max_duration_s=1.5, duration_s=1.0)) == SAMPLE_RATE_HZ


def test_two_aac_streams_of_different_shape_are_one_recording(tmp_path):
    encode(tmp_path / "stereo.aac", "aac", 44_100, 2)
    encode(tmp_path / "mono.aac", "aac", 22_050, 1)
    both = tmp_path / "both.aac"
    both.write_bytes((tmp_path / "stereo.aac").read_bytes() + (tmp_path / "mono.aac").read_bytes())
    assert len(decode(both)) == pytest.approx(4 * SAMPLE_RATE_HZ, abs=0.2 * SAMPLE_RATE_HZ)


def test_flac_without_a_length_in_its_header_is_read_to_its_end(tmp_path):
    path = Path(tmp_path / "a.flac")
    soundfile.write(path, recording(SAMPLE_RATE_HZ, 1), SAMPLE_RATE_HZ)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the low 36 bits of these eight bytes of the header count the samples; 0 is unknown
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(decode(path)) == 2 * SAMPLE_RATE_HZ
