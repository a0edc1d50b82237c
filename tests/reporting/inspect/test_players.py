"""`earmark inspect`: a row is played as it was heard, where somebody listens."""

import json
import sys

import numpy as np
import pytest
import soundfile
import soxr

from earmark.pipeline.cli import main
from earmark.reporting.clip_audio import AudioSource, heard_wav
from earmark.reporting.inspect.players import PLAYERS, find_player
from earmark.reporting.inspect.row import inspect_row
from earmark.schemas.errors import RowError
from earmark.schemas.manifest import ManifestShape
from earmark.schemas.records import Recording
from earmark.transforms.audio.decode_recordings import DecodeRequest, decode_requests
from earmark.transforms.output.store import OutputStore
from tests.support.audio.containers import write_container
from tests.support.audio.players import only_on_path, put_player
from tests.support.jobs import run_here, write_manifest, write_tone, write_tones

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """44.1 kHz stereo of noise, which no two parts of are alike."""
    folder = tmp_path_factory.mktemp("stereo")
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, (3 * RATE_HZ + 17, 2))
    soundfile.write(folder / "noise.flac", noise, RATE_HZ)
    return folder / "noise.flac"


@pytest.fixture(scope="module")
def listened(tmp_path_factory, stereo):
    """A real run: two tones, and a part and the whole of one file."""
    folder = tmp_path_factory.mktemp("listened")
    part = {"id": "part", "audio_filepath": str(stereo), "offset": 1.25, "duration": 0.7, "channel": 1}
    whole = {"id": "whole", "audio_filepath": str(stereo)}
    rows = [*write_tones(folder / "audio", 2), part, whole]
    run_here(write_manifest(folder / "m.jsonl", rows), folder / "out")
    return folder / "out"


def played(folder):
    samples, rate = soundfile.read(folder / "played.wav", dtype="float32")
    assert rate == 16_000
    return samples


def decoded(stereo, start=0, end=None, channel=None):
    """What the run's decoder makes of frames of the file, at 16 kHz."""
    frames, _ = soundfile.read(stereo, dtype="float32")
    frames = frames[start:end]
    mono = frames.mean(axis=1) if channel is None else frames[:, channel]
    return soxr.resample(mono, RATE_HZ, 16_000, "HQ")


def test_what_is_played_is_the_part_and_the_channel_that_was_heard(listened, stereo, tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "aplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(listened), "part", "--play"]) == 0
    expected = decoded(stereo, round(1.25 * RATE_HZ), round(1.95 * RATE_HZ), channel=1)
    found = played(tmp_path / "bin")
    assert len(found) == len(expected) == 11_200
    inner = slice(0, -100)  # the run's last samples fade where the next frames, which it had not, would come
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)
    (arguments,) = [json.loads((tmp_path / "bin" / "arguments.json").read_text())]
    assert arguments[0] == "-q" and arguments[1].endswith(".wav")
    assert "talks to stdout" not in capsys.readouterr().out


def test_a_whole_file_is_played_to_its_last_sample(listened, stereo, tmp_path, monkeypatch):
    put_player(tmp_path / "bin", "ffplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(listened), "whole", "--play"]) == 0
    np.testing.assert_allclose(played(tmp_path / "bin"), decoded(stereo), atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_of_any_rate_as_much_is_played_as_was_heard(tmp_path, rate):
    for frames in range(3 * rate // 10, 3 * rate // 10 + 7):
        path = str(tmp_path / "noise.wav")
        soundfile.write(path, np.random.default_rng(frames).uniform(-0.5, 0.5, frames), rate, subtype="FLOAT")
        (heard,) = decode_requests([DecodeRequest(Recording("a", path), 10.0, 10.0, 10**9, str(tmp_path))])
        assert not isinstance(heard, RowError)
        source = AudioSource.of(path, 0.0, None)
        wav = heard_wav(source, heard.facts.duration_s, ManifestShape(), OutputStore(str(tmp_path)))
        (tmp_path / "heard.wav").write_bytes(wav)
        found, _ = soundfile.read(tmp_path / "heard.wav", dtype="float32")
        np.testing.assert_allclose(found, np.clip(heard.samples, -1, 1), atol=1e-4)


@pytest.mark.parametrize(("container", "kept"), [("tar", True), ("tar", False), ("parquet", False)])
def test_audio_in_containers_is_named_and_played(tmp_path, monkeypatch, capsys, container, kept):
    rows = write_tones(tmp_path / "audio", 5)
    manifest = write_container(tmp_path / f"a.{container}", rows, group_rows=2)
    run_here(manifest, tmp_path / "out")
    if not kept:
        for index in tmp_path.glob("out/_earmark/containers/*"):
            index.unlink()
    put_player(tmp_path / "bin", "paplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    before = sorted(path for path in (tmp_path / "out").rglob("*"))
    assert main(["inspect", str(tmp_path / "out"), "r0003", "--json", "--play"]) == 0
    found = json.loads(capsys.readouterr().out)["annotation"]
    assert sorted(path for path in (tmp_path / "out").rglob("*")) == before, "to look writes nothing"
    assert found["source"]["container"] == str(manifest)
    assert (found["source"]["member"], found["source"]["row"]) == (
        ("tone3.wav", None) if container == "tar" else ("", 3)
    )
    expected, _ = soundfile.read(rows[3]["audio_filepath"], dtype="float32")
    np.testing.assert_allclose(played(tmp_path / "bin"), expected, atol=1e-4)


def test_players_are_taken_in_a_fixed_order(tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin")
    assert find_player() is None
    for name, *_ in reversed(PLAYERS):
        put_player(tmp_path / "bin", name)
        player = find_player()
        assert player is not None and player.name == name


def test_where_there_is_no_player_the_audio_is_named(listened, tmp_path, monkeypatch, capsys):
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(listened), "r0001", "--play"]) == 1
    told = capsys.readouterr()
    uri = inspect_row(str(listened), "r0001").annotation.source.uri
    assert told.err == (
        f"not played: there is no player here (looked for ffplay, play, aplay, paplay, afplay); the audio is {uri}\n"
    )
    assert "transcribe" in told.out


def test_nothing_is_played_into_a_pipe_unless_asked_for(listened, tmp_path, monkeypatch):
    put_player(tmp_path / "bin", "play")
    only_on_path(monkeypatch, tmp_path / "bin")
    for option in ("--silent", "--json"):
        assert main(["inspect", str(listened), "r0001", option]) == 0
    assert main(["inspect", str(listened), "r0001"]) == 0
    assert not (tmp_path / "bin" / "played.wav").exists()


def test_on_a_terminal_it_plays_by_itself_and_a_player_s_trouble_is_told(listened, tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "play", status=3)
    only_on_path(monkeypatch, tmp_path / "bin")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["inspect", str(listened), "r0001"]) == 0
    assert capsys.readouterr().err == "not played: play could not play it: status 3\n"
    assert (tmp_path / "bin" / "played.wav").exists()
    assert main(["inspect", str(listened), "r0001", "--play"]) == 1


def test_audio_that_is_gone_and_a_failed_recording_are_not_played(tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "play")
    path = write_tone(tmp_path / "a.wav")
    rows = [{"id": "a", "audio_filepath": str(path)}, {"id": "b", "audio_filepath": "/nowhere.wav"}]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    path.unlink()
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(tmp_path / "out"), "a", "--play"]) == 1
    assert f"not played: there is no '{path}'" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "out"), "b", "--play"]) == 1
    assert "not played: it failed, so nothing was heard" in capsys.readouterr().err
