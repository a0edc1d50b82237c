"""Every hostile file ends as one clip or one failure with a sentence that helps, and harms nothing beside it."""

import builtins
import resource
import tracemalloc

import numpy as np
import pytest
import soundfile

from schemas.errors import RowError
from schemas.records import SAMPLE_RATE_HZ, Recording
from tests.hostile_files import HostileFile, make_hostile_files, write_flac_bomb
from transforms.decode_recordings import DecodeRequest, decode_requests


def request(uri, scratch, max_duration_s=3600.0):
    return DecodeRequest(Recording("id", str(uri)), max_duration_s, 10.0, SAMPLE_RATE_HZ * 60, str(scratch))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> list[HostileFile]:
    return make_hostile_files(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def results(hostile, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    found = decode_requests([request(file.uri, scratch) for file in hostile])
    assert list(scratch.iterdir()) == []
    return found


def test_each_ends_as_expected(hostile, results):
    found = [result.error if isinstance(result, RowError) else "" for result in results]
    assert dict(zip((file.name for file in hostile), found, strict=True)) == {file.name: file.error for file in hostile}


def test_each_message_is_a_sentence_without_the_innards_of_python(results):
    messages = [result.message for result in results if isinstance(result, RowError)]
    for message in messages:
        assert len(message.split()) >= 4
        assert "Traceback" not in message
        assert " object at 0x" not in message


def test_what_is_decoded_is_sound(results):
    for audio in results:
        if not isinstance(audio, RowError):
            assert audio.samples.dtype == np.float32
            assert len(audio.samples) > 0
            assert np.isfinite(audio.samples).all()
            assert audio.facts.duration_s == len(audio.samples) / SAMPLE_RATE_HZ


def test_a_playlist_does_not_lead_to_the_file_that_it_names(hostile, results):
    playlists = [file for file in hostile if file.name.startswith("other.")]
    assert len(playlists) == 2
    for file in playlists:
        assert isinstance(results[hostile.index(file)], RowError)


def test_ten_hours_of_silence_in_a_small_file_fill_no_memory(tmp_path):
    write_flac_bomb(tmp_path / "bomb.flac")
    assert (tmp_path / "bomb.flac").stat().st_size < 300_000
    assert soundfile.info(tmp_path / "bomb.flac").duration == pytest.approx(10 * 3600, abs=5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        (result,) = decode_requests([request(tmp_path / "bomb.flac", tmp_path)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(result, RowError)
    assert result.error == "too_long"
    assert peak < 30e6  # of samples; an hour of them is 230 MB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kilobytes, libsndfile's among them
    assert list(tmp_path.iterdir()) == [tmp_path / "bomb.flac"]  # what had been spilled is gone


def test_a_file_without_permission_says_so(tmp_path, monkeypatch):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.zeros(100), SAMPLE_RATE_HZ)
    really_open = builtins.open

    def guarded_open(file, *arguments, **options):  # the tests may run as root, whom nothing is forbidden
        if file == path:
            raise PermissionError(13, "Permission denied", path)
        return really_open(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", guarded_open)
    (result,) = decode_requests([request(path, tmp_path)])
    assert isinstance(result, RowError)
    assert result.error == "permission_denied"
    assert result.message == f"no permission to read {path!r}"


def test_a_full_disk_is_no_fault_of_the_recording(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(90 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    really_open = builtins.open

    def full_open(file, mode="r", *arguments, **options):
        if "w" in mode:
            raise OSError(28, "No space left on device", file)
        return really_open(file, mode, *arguments, **options)

    monkeypatch.setattr(builtins, "open", full_open)
    with pytest.raises(OSError, match="No space left"):
        decode_requests([request(tmp_path / "a.wav", tmp_path)])
