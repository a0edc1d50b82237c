"""Every hostile file ends as one clip or one failure with a sentence with a remedy, and affects no other recording."""

import builtins
import dataclasses
import errno
import resource
import tracemalloc

import numpy as np
import pytest
import soundfile

from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.transforms.audio import decode_recordings
from earmark.transforms.audio.audio_file import Levels, open_source, resampled_blocks
from earmark.transforms.audio.decode_recordings import DecodeRequest, decode_requests
from tests.support.audio.hostile_files import make_hostile_files, write_flac_bomb


def request(uri, scratch, max_duration_s=3600.0):
    return DecodeRequest(Recording("id", str(uri)), max_duration_s, 10.0, SAMPLE_RATE_HZ * 60, str(scratch))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return make_hostile_files(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def results(hostile, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    outcomes = decode_requests([request(file.uri, scratch) for file in hostile])
    spilled = [audio.spilled for audio in outcomes if not isinstance(audio, RowError) and audio.spilled]
    assert sorted(map(str, scratch.iterdir())) == sorted(spilled)
    return outcomes


def test_each_ends_as_expected(hostile, results):
    outcomes = [result.error if isinstance(result, RowError) else "" for result in results]
    assert dict(zip((file.name for file in hostile), outcomes, strict=True)) == {
        file.name: file.error for file in hostile
    }


def test_each_message_is_a_sentence_without_the_innards_of_python(results):
    messages = [result.message for result in results if isinstance(result, RowError)]
    for message in messages:
        assert len(message.split()) >= 4
        assert "Traceback" not in message
        assert " object at 0x" not in message


def test_decoded_files_have_plausible_samples_and_facts(results):
    for audio in results:
        if not isinstance(audio, RowError):
            samples = np.memmap(audio.spilled, np.float32, "r") if audio.spilled else audio.samples
            assert samples.dtype == np.float32
            assert len(samples) > 0
            assert np.isfinite(samples).all()
            assert audio.facts.duration_s == len(samples) / SAMPLE_RATE_HZ


@pytest.mark.parametrize("name", ["rate_1_for_long.wav", "rate_1_for_long.mka"])
def test_a_low_rate_does_not_make_blocks_large(hostile, name):
    (file,) = [file for file in hostile if file.name == name]
    with open_source(file.uri, 0.0) as source:
        assert source.sample_rate == 1
        longest = max(len(block) for block in resampled_blocks(source, None, None, 3600.0, Levels()))
    assert longest < 1000 * SAMPLE_RATE_HZ  # of 3000 s; soxr holds back some 800 s, of any length, to the end


@pytest.mark.parametrize("raised", [ValueError, AttributeError, OverflowError, RuntimeError])
def test_any_error_of_a_decoder_fails_its_recording_only(tmp_path, monkeypatch, raised):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), SAMPLE_RATE_HZ)
    really_open = decode_recordings.open_source

    def fragile_open(path, offset_s):
        if offset_s:
            raise raised("what it\nsays")
        return really_open(path, offset_s)

    monkeypatch.setattr(decode_recordings, "open_source", fragile_open)
    good = request(tmp_path / "a.wav", tmp_path)
    bad = dataclasses.replace(good, recording=dataclasses.replace(good.recording, offset_s=1.0))
    failed, decoded = decode_requests([bad, good])
    assert isinstance(failed, RowError)
    assert failed.error == "decoder_error"
    assert f"{raised.__name__}: what it says" in failed.message
    assert decoded.facts.duration_s == 100 / SAMPLE_RATE_HZ


@pytest.mark.parametrize("raised", [MemoryError("no room"), OSError(errno.EMFILE, "Too many open files")])
def test_a_lack_of_disk_or_handles_is_an_error_of_the_machine(tmp_path, monkeypatch, raised):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), SAMPLE_RATE_HZ)

    def lacking_open(path, offset_s):
        raise raised

    monkeypatch.setattr(decode_recordings, "open_source", lacking_open)
    with pytest.raises(MachineError, match=r"this machine cannot continue.*(no room|Too many open files)"):
        decode_requests([request(tmp_path / "a.wav", tmp_path)])


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


def test_a_file_without_permission_is_a_failure_with_that_reason(tmp_path, monkeypatch):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.zeros(100), SAMPLE_RATE_HZ)
    really_open = builtins.open

    def guarded_open(file, *arguments, **options):  # the tests may run as root, who may read every file
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
        if str(file).endswith(".f32"):
            raise OSError(28, "No space left on device", file)
        return really_open(file, mode, *arguments, **options)

    monkeypatch.setattr(builtins, "open", full_open)
    with pytest.raises(MachineError, match=r"No space left on device.*--scratch_dir"):
        decode_requests([request(tmp_path / "a.wav", tmp_path)])


def test_a_missing_scratch_folder_is_an_error_of_the_machine(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), SAMPLE_RATE_HZ)
    with pytest.raises(MachineError, match=r"gone takes no more audio.*--scratch_dir"):
        decode_requests([request(tmp_path / "a.wav", tmp_path / "gone")])
