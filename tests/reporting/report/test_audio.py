"""Audio in a report: the annotated part of the file, from files, containers and stores, and links to it."""

import base64
import io
import re
from dataclasses import replace

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from earmark.reporting.report.audio import Clip, make_clip, read_clips
from earmark.reporting.report.links import audio_links
from earmark.reporting.report.options import ReportOptions
from earmark.reporting.report.report import make_report
from earmark.reporting.report.row_audio import read_audio
from earmark.reporting.report.sample_rows import ReportRow
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.scoring.answers import open_output
from tests.support.audio.containers import write_audio_parquet, write_container
from tests.support.jobs import annotations, run_here, write_manifest, write_tone, write_tones

ROW = ReportRow("a", "", 0.0, None, 1.0, "random", None, 0, {}, None, (), ())


def report_rows(output):
    report = make_report(open_output(str(output)), ReportOptions())
    return {row.id: row for row in report.rows}


def decode_again(output, ids):
    rows = report_rows(output)
    return list(read_audio([rows[id] for id in ids], 60.0))


@pytest.mark.model
def test_the_annotated_part_of_every_row_is_decoded_again(tmp_path):
    """Offset, length and channel all matter."""
    times = np.arange(SAMPLE_RATE_HZ * 3) / SAMPLE_RATE_HZ
    stereo = np.stack([0.3 * np.sin(2 * np.pi * 300 * times), 0.8 * times / 3], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, SAMPLE_RATE_HZ)
    rows = [
        {"id": "all", "audio": "stereo.wav"},
        {"id": "part", "audio": "stereo.wav", "offset": 1.0, "duration": 0.5},
        {"id": "left", "audio": "stereo.wav", "channel": 0},
        {"id": "right", "audio": "stereo.wav", "channel": 1, "offset": 2.0},
    ]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    ids = ["all", "part", "left", "right"]
    full, part, first_channel, second_channel = decode_again(tmp_path / "out", ids)
    assert [len(samples) for samples in (full, part, first_channel, second_channel)] == [48_000, 8_000, 48_000, 16_000]
    np.testing.assert_allclose(full, stereo.mean(1), atol=1e-4)
    np.testing.assert_allclose(part, stereo[16_000:24_000].mean(1), atol=1e-4)
    np.testing.assert_allclose(first_channel, stereo[:, 0], atol=1e-4)
    np.testing.assert_allclose(second_channel, stereo[32_000:, 1], atol=1e-4)


@pytest.mark.model
@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_audio_in_containers_is_decoded_again(tmp_path, kind):
    tones = write_tones(tmp_path / "tones", 20)
    run_here(write_container(tmp_path / f"x.{kind}", tones, group_rows=6), tmp_path / "out")
    rows = report_rows(tmp_path / "out")
    assert len(rows) == 20
    for row, samples in zip(rows.values(), read_audio(list(rows.values()), 60.0), strict=True):
        assert not isinstance(samples, RowError), samples
        (answer,) = row.answers
        assert answer.text == f"{len(samples)} samples, peak {np.abs(samples).max():.2f}"


def test_a_recording_that_has_been_removed_has_a_note(tmp_path):
    tone = write_tone(tmp_path / "tone.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFF no audio")
    uris = [tone, tmp_path / "gone.wav", tmp_path / "broken.wav", f"tar://x.wav::file://{tmp_path}/gone.tar"]
    uris += [f"{tmp_path}/gone.parquet#row=1", "nosuchscheme://x"]
    clips = read_clips([replace(ROW, uri=str(uri)) for uri in uris], 6)
    assert clips[0].audio and clips[0].note == "The file has changed since it was annotated: 1.0 s then, 0.5 s now."
    for number in range(1, 6):
        assert not clips[number].audio
        assert clips[number].note.startswith("The audio can no longer be read: "), clips[number].note
    assert "gone.wav" in clips[1].note


def test_a_row_beyond_the_end_of_a_parquet_file_is_an_error(tmp_path):
    write_audio_parquet(tmp_path / "x.parquet", write_tones(tmp_path / "tones", 3))
    (error,) = read_audio([replace(ROW, uri=f"{tmp_path}/x.parquet#row=3")], 60.0)
    assert isinstance(error, RowError) and "ends before row 3" in error.message


def test_a_clip_has_the_sound_and_the_spectrogram_of_the_recording():
    times = np.arange(SAMPLE_RATE_HZ * 2) / SAMPLE_RATE_HZ
    samples = (0.5 * np.sin(2 * np.pi * 1000 * times) * (times > 1)).astype(np.float32)
    clip = make_clip(samples, 2.0)
    decoded, rate = soundfile.read(io.BytesIO(of_data_url(clip.audio, "audio/mpeg")))
    assert rate == SAMPLE_RATE_HZ and clip.shown_s == 2.0 and not clip.note
    assert np.abs(decoded[:15_000]).max() < 0.01 < 0.4 < np.abs(decoded[20_000:30_000]).max()
    picture = np.asarray(Image.open(io.BytesIO(of_data_url(clip.spectrogram, "image/webp"))).convert("L"), float)
    loudest = np.unravel_index(picture[:, picture.shape[1] * 3 // 4].argmax(), picture.shape[:1])[0]
    assert loudest == pytest.approx(picture.shape[0] * (1 - mel(1000) / mel(8000)), abs=3)
    assert picture[:, : picture.shape[1] * 2 // 5].max() < 20 < picture[:, picture.shape[1] * 3 // 5 :].max()


def of_data_url(url, kind):
    prefix, _, content = url.partition(",")
    assert prefix == f"data:{kind};base64"
    return base64.b64decode(content)


def mel(hz):
    """Slaney's scale, which librosa uses."""
    return hz / (200 / 3) if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def test_a_long_recording_is_cut_to_its_beginning(tmp_path):
    path = write_tone(tmp_path / "long.wav", seconds=70)
    clip = read_clips([replace(ROW, uri=str(path), duration_s=70.0)], 1)[0]
    assert (clip.shown_s, clip.note) == (60.0, "The first 60 s of 70.0 s.")


def test_silence_and_the_shortest_clip_are_drawn_too():
    for samples in (np.zeros(16_000, np.float32), np.zeros(1, np.float32)):
        clip = make_clip(samples, len(samples) / SAMPLE_RATE_HZ)
        assert isinstance(clip, Clip) and clip.audio and clip.spectrogram and "<svg" in clip.waveform


def test_clips_come_from_the_first_rows_and_from_the_random_sample():
    first = [replace(ROW, id=f"f{n}", uri="/gone", reason="flagged") for n in range(10)]
    random = [replace(ROW, id=f"r{n}", uri="/gone") for n in range(10)]
    assert sorted(read_clips(first + random, 6)) == [0, 1, 2, 10, 14, 19]
    assert sorted(read_clips(first, 6)) == [0, 1, 2, 3, 4, 5]
    assert read_clips(first, 0) == {}


def test_clips_stop_at_the_size_limit(tmp_path, monkeypatch):
    rows = [replace(ROW, uri=str(write_tone(tmp_path / f"{n}.wav"))) for n in range(6)]
    clip = read_clips(rows[:1], 1)[0]
    size_bytes = len(clip.audio) + len(clip.spectrogram) + len(clip.waveform)
    monkeypatch.setattr("earmark.reporting.report.audio.BUDGET_BYTES", 3.5 * size_bytes)
    assert len(read_clips(rows, 6)) == 3


def test_links_to_files_are_relative_to_the_page(tmp_path):
    row = replace(ROW, uri=f"{tmp_path}/audio/a b#1.wav", offset_s=1.5, duration_s=2.0)
    (link,) = audio_links([row], f"{tmp_path}/out/page.html", sign=False)
    assert (link.url, link.scheme) == ("../audio/a%20b%231.wav#t=1.5,3.5", "file")
    (link,) = audio_links([row], "s3://bucket/page.html", sign=False)
    assert not link.url and "machine that annotated it" in link.problem


def test_http_urls_are_linked_unchanged():
    (link,) = audio_links([replace(ROW, uri="https://host/a.wav?x=1")], "/page.html", sign=False)
    assert (link.url, link.scheme) == ("https://host/a.wav?x=1#t=0,1", "https")


@pytest.mark.parametrize("uri", ["tar://a.wav::file:///x.tar", "/x.parquet#row=1", "javascript://%0aalert(1)"])
def test_what_a_browser_cannot_open_is_not_linked(uri):
    (link,) = audio_links([replace(ROW, uri=uri)], "/page.html", sign=True)
    assert not link.url and link.problem


class SigningFileSystem(MemoryFileSystem):
    protocol = "signing"

    def sign(self, path, expiration=100, **options):
        if "secret" in path:
            raise PermissionError("no key to sign with")
        return f"https://store/{path.rsplit('/', 1)[1]}?expires={expiration}"


def test_objects_of_a_store_are_signed_where_the_credentials_allow_it():
    fsspec.register_implementation("signing", SigningFileSystem, clobber=True)
    rows = [replace(ROW, uri=uri) for uri in ("signing://b/a.wav", "signing://b/secret.wav", "memory://b/a.wav")]
    signed, refused, cannot = audio_links(rows, "/page.html", sign=True)
    assert (signed.url, signed.scheme) == ("https://store/a.wav?expires=604800#t=0,1", "https")
    assert not refused.url and "no key to sign with" in refused.problem
    assert not cannot.url and cannot.problem == "memory:// URLs cannot be signed."
    (unsigned,) = audio_links(rows[:1], "/page.html", sign=False)
    assert not unsigned.url


@pytest.mark.model
def test_segment_times_count_from_the_start_of_the_recording(tmp_path):
    tone = write_tone(tmp_path / "a.wav", seconds=3)
    rows = [{"id": "a", "audio": str(tone), "offset": 1.0, "duration": 1.5}]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out", task=("transcribe",))
    in_file = annotations(tmp_path / "out")[0]["transcribe"]["segments"]
    on_page = report_rows(tmp_path / "out")["a"].answers[0].segments
    starts_s = [segment["start_s"] - 1.0 for segment in in_file]
    assert [segment.start_s for segment in on_page] == pytest.approx(starts_s, abs=1e-3)
    assert re.fullmatch(r".*a\.wav", report_rows(tmp_path / "out")["a"].uri)
