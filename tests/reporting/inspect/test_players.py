"""`earmark inspect --play`: the annotated part of the audio goes to a player of the machine."""

import json
import sys

import numpy as np
import pytest
import soundfile
import soxr

from earmark.pipeline.cli import main
from earmark.reporting.clip_audio import AudioSource, decode_clip
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

pytestmark = pytest.mark.process

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """44.1 kHz stereo noise, so that no two parts are alike."""
    folder = tmp_path_factory.mktemp("stereo")
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, (3 * RATE_HZ + 17, 2))
    soundfile.write(folder / "noise.flac", noise, RATE_HZ)
    return folder / "noise.flac"


@pytest.fixture(scope="module")
def output(tmp_path_factory, stereo):
    """A real run over two tones, a part of one file, and the whole file."""
    folder = tmp_path_factory.mktemp("played")
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
    """Frames of the file at 16 kHz, as the run's decoder makes them."""
    frames, _ = soundfile.read(stereo, dtype="float32")
    frames = frames[start:end]
    mono = frames.mean(axis=1) if channel is None else frames[:, channel]
    return soxr.resample(mono, RATE_HZ, 16_000, "HQ")


@pytest.mark.model
def test_the_annotated_part_and_channel_are_played(output, stereo, tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "aplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(output), "part", "--play"]) == 0
    expected = decoded(stereo, round(1.25 * RATE_HZ), round(1.95 * RATE_HZ), channel=1)
    samples = played(tmp_path / "bin")
    assert len(samples) == len(expected) == 11_200
    inner = slice(0, -100)  # the last samples of the run fade out, because it did not read beyond the part
    np.testing.assert_allclose(samples[inner], expected[inner], atol=1e-4)
    (arguments,) = [json.loads((tmp_path / "bin" / "arguments.json").read_text())]
    assert arguments[0] == "-q" and arguments[1].endswith(".wav")
    assert "talks to stdout" not in capsys.readouterr().out


def test_a_whole_file_is_played_to_its_last_sample(output, stereo, tmp_path, monkeypatch):
    put_player(tmp_path / "bin", "ffplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(output), "whole", "--play"]) == 0
    np.testing.assert_allclose(played(tmp_path / "bin"), decoded(stereo), atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_the_annotated_samples_are_played_at_any_source_rate(tmp_path, rate):
    for frames in range(3 * rate // 10, 3 * rate // 10 + 7):
        path = str(tmp_path / "noise.wav")
        soundfile.write(path, np.random.default_rng(frames).uniform(-0.5, 0.5, frames), rate, subtype="FLOAT")
        (annotated,) = decode_requests([DecodeRequest(Recording("a", path), 10.0, 10.0, 10**9, str(tmp_path))])
        assert not isinstance(annotated, RowError)
        source = AudioSource.of(path, 0.0, None)
        wav = decode_clip(source, annotated.facts.duration_s, ManifestShape(), OutputStore(str(tmp_path)))
        (tmp_path / "clip.wav").write_bytes(wav)
        samples, _ = soundfile.read(tmp_path / "clip.wav", dtype="float32")
        np.testing.assert_allclose(samples, np.clip(annotated.samples, -1, 1), atol=1e-4)


@pytest.mark.model
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
    source = json.loads(capsys.readouterr().out)["annotation"]["source"]
    assert sorted(path for path in (tmp_path / "out").rglob("*")) == before, "inspect writes nothing"
    assert source["container"] == str(manifest)
    assert (source["member"], source["row"]) == (("tone3.wav", None) if container == "tar" else ("", 3))
    expected, _ = soundfile.read(rows[3]["audio_filepath"], dtype="float32")
    np.testing.assert_allclose(played(tmp_path / "bin"), expected, atol=1e-4)


def test_players_are_tried_in_a_fixed_order(tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin")
    assert find_player() is None
    for name, *_ in reversed(PLAYERS):
        put_player(tmp_path / "bin", name)
        player = find_player()
        assert player is not None and player.name == name


def test_without_a_player_the_location_of_the_audio_is_printed(output, tmp_path, monkeypatch, capsys):
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(output), "r0001", "--play"]) == 1
    printed = capsys.readouterr()
    uri = inspect_row(str(output), "r0001").annotation.source.uri
    assert printed.err == (
        "not played: no audio player is installed (looked for ffplay, play, aplay, paplay, afplay);"
        f" the audio is {uri}\n"
    )
    assert "transcribe" in printed.out


def test_nothing_is_played_with_silent_or_json_or_into_a_pipe(output, tmp_path, monkeypatch):
    put_player(tmp_path / "bin", "play")
    only_on_path(monkeypatch, tmp_path / "bin")
    for option in ("--silent", "--json"):
        assert main(["inspect", str(output), "r0001", option]) == 0
    assert main(["inspect", str(output), "r0001"]) == 0
    assert not (tmp_path / "bin" / "played.wav").exists()


def test_a_terminal_plays_by_default_and_prints_the_error_of_a_player(output, tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "play", status=3)
    only_on_path(monkeypatch, tmp_path / "bin")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["inspect", str(output), "r0001"]) == 0
    assert capsys.readouterr().err == "not played: play could not play it: status 3\n"
    assert (tmp_path / "bin" / "played.wav").exists()
    assert main(["inspect", str(output), "r0001", "--play"]) == 1


def test_removed_audio_and_a_failed_recording_are_not_played(tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "play")
    path = write_tone(tmp_path / "a.wav")
    rows = [{"id": "a", "audio_filepath": str(path)}, {"id": "b", "audio_filepath": "/nowhere.wav"}]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    path.unlink()
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(tmp_path / "out"), "a", "--play"]) == 1
    assert f"not played: there is no '{path}'" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "out"), "b", "--play"]) == 1
    assert "not played: the recording failed, so there is no audio to play" in capsys.readouterr().err
