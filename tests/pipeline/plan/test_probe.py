"""Results of `earmark plan` from a random sample, and each of its warnings."""

import numpy as np
import pytest
import soundfile

from earmark.pipeline.plan.plan import make_plan
from earmark.pipeline.plan.probe import Probe, Probed, probe
from earmark.pipeline.plan.warnings import warnings_of
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Recording
from tests.support.audio.containers import write_containers
from tests.support.audio.odd_decoders import crash_or_hang
from tests.support.jobs import PHONE_PROMPTS, failures, run_here, write_manifest, write_tone, write_tones

pytestmark = pytest.mark.model

PROMPT = PHONE_PROMPTS.parent / "tt-weasels.flac"  # 8 kHz
RATE_HZ = 16_000


def write_samples(path, samples, rate_hz=RATE_HZ):
    soundfile.write(path, samples.astype(np.float32), rate_hz, subtype="FLOAT")
    return path


def warned(manifest, sample_rows=50, **options):
    """The warnings of a plan by their kinds."""
    job = JobOptions(decode_processes=2, **options)
    plan = make_plan(str(manifest), "", job, 2, sample_rows)
    return {one.kind: one for one in warnings_of(plan, probe(plan.sample, job), job)}


def one_of(path, *others):
    rows = [{"audio": str(file)} for file in (path, *others)]
    return warned(write_manifest(path.parent / "m.jsonl", rows))


@pytest.fixture
def speech():
    """Speech at the models' rate."""
    import librosa

    return librosa.load(PROMPT, sr=RATE_HZ)[0] * 0.5


def test_good_speech_has_no_warnings(tmp_path, speech):
    assert one_of(write_samples(tmp_path / "a.wav", speech)) == {}


def test_a_sample_rate_below_the_models_is_warned_of(tmp_path, speech):
    low = write_samples(tmp_path / "low.wav", speech[::2], 8000)
    warnings = one_of(low, write_samples(tmp_path / "high.wav", speech))
    (warning,) = warnings.values()
    assert (warning.kind, warning.recordings, warning.looked_at) == ("low_sample_rate", 1, 2)
    assert warning.examples == (str(low),)
    assert "16000 Hz" in warning.message


def test_recordings_without_speech_are_warned_of_where_a_task_needs_speech(tmp_path, speech):
    tone = write_tone(tmp_path / "tone.wav", seconds=3)
    assert set(one_of(tone)) == {"little_speech"}
    silent = write_samples(tmp_path / "silent.wav", np.zeros(RATE_HZ))
    assert set(one_of(silent)) == {"silent"}
    manifest = write_manifest(tmp_path / "m.jsonl", [{"audio": str(tone)}])
    assert warned(manifest, task=("caption",)) == {}


def test_clipped_recordings_are_warned_of(tmp_path, speech):
    warnings = one_of(write_samples(tmp_path / "loud.wav", np.clip(50 * speech, -1, 1)))
    assert set(warnings) == {"clipped"}


def test_a_recording_that_cannot_be_decoded_has_the_error_of_a_run(tmp_path, speech):
    good = write_samples(tmp_path / "good.wav", speech)
    (tmp_path / "text.wav").write_text("this is no audio")
    (tmp_path / "empty.flac").write_bytes(b"")
    names = ["good.wav", "text.wav", "empty.flac", "missing.wav"]
    manifest = write_manifest(tmp_path / "m.jsonl", [{"audio": str(tmp_path / name)} for name in names])
    warnings = warned(manifest)
    run_here(manifest, tmp_path / "out")
    assert good.exists()
    failed = {f"failure:{row['error']}": row["message"] for row in failures(tmp_path / "out")}
    assert len(failed) == 3
    assert {kind: warning.message for kind, warning in warnings.items() if kind in failed} == {
        kind: f"will fail: {message}" for kind, message in failed.items()
    }
    assert warnings["too_many_failures"].recordings == 3, "more than half"


def test_suffixes_that_are_not_audios_are_counted_in_the_whole_manifest(tmp_path):
    names = [*(f"{number}.docx" for number in range(70)), "a.TXT", "b.wav", "c.FLAC", "d", "call.2026-11-26", ".wav"]
    manifest = write_manifest(tmp_path / "m.jsonl", [{"audio": f"/nowhere/{name}"} for name in names])
    warning = warned(manifest, sample_rows=0)["odd_suffix"]
    assert (warning.recordings, warning.looked_at, warning.sampled) == (71, 76, False)
    assert ".docx (70), .TXT (1)" in warning.message


def test_long_recordings_are_counted_in_the_whole_manifest(tmp_path):
    rows = [{"audio": f"/nowhere/{seconds}.wav", "duration": seconds} for seconds in (10, 1800, 1801, 20_000)]
    warnings = warned(write_manifest(tmp_path / "m.jsonl", rows), sample_rows=0)
    assert (warnings["very_long"].recordings, warnings["too_long"].recordings) == (2, 1)
    assert "--max_duration_s=14400" in warnings["too_long"].message


def test_long_recordings_are_found_where_the_manifest_has_no_length(tmp_path):
    long = tmp_path / "long.flac"
    soundfile.write(long, np.tile(np.float32([0, 0.5]), 1801 * 500), 1000)
    assert {"very_long", "low_sample_rate"} <= set(one_of(long))


def test_recordings_shorter_than_in_the_manifest_are_warned_of(tmp_path, speech):
    path = write_samples(tmp_path / "a.wav", speech)
    length_s = len(speech) / RATE_HZ
    rows = [{"audio": str(path), "id": str(factor), "duration": factor * length_s} for factor in (0.5, 1.05, 2)]
    assert warned(write_manifest(tmp_path / "m.jsonl", rows))["shorter_than_said"].recordings == 1


def test_a_warning_of_a_sample_has_an_interval_for_the_whole_manifest(tmp_path):
    rows = [{"audio": str(write_tone(tmp_path / "tone.wav")), "id": f"{number:03d}"} for number in range(200)]
    (warning,) = warned(write_manifest(tmp_path / "m.jsonl", rows), sample_rows=10).values()
    assert (warning.recordings, warning.looked_at, warning.sampled) == (10, 10, True)
    # Wilson's interval for 10 of 10: from 10 / (10 + 1.96²).
    assert (warning.low, warning.high) == pytest.approx((10 / (10 + 1.96**2), 1), abs=1e-3)
    (all_of_them,) = warned(write_manifest(tmp_path / "m.jsonl", rows[:5]), sample_rows=10).values()
    assert (all_of_them.sampled, all_of_them.low, all_of_them.high) == (False, 1, 1)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_audio_in_containers_is_probed_as_a_run_reads_it(tmp_path, kind):
    rows = write_tones(tmp_path / "audio", 6)
    manifest = write_containers(tmp_path, kind, rows)
    options = JobOptions(decode_processes=2)
    results = probe(make_plan(str(manifest), "", options, 2, 6).sample, options).found
    lengths = sorted(round(result.decoded_s, 2) for result in results)
    assert lengths == pytest.approx([0.2 + 0.01 * number for number in range(6)])


def test_a_probe_leaves_no_files(tmp_path):
    (tmp_path / "scratch").mkdir()
    manifest = write_containers(tmp_path, "tar", write_tones(tmp_path / "audio", 4))
    before = sorted(tmp_path.rglob("*"))
    options = JobOptions(scratch_dir=str(tmp_path / "scratch"), shard_memory_mb=1, decode_processes=2)
    assert len(probe(make_plan(str(manifest), "", options, 2, 4).sample, options).found) == 4
    assert sorted(tmp_path.rglob("*")) == before


def test_a_probe_ends_when_its_time_is_over(tmp_path):
    recordings = sample_of(write_tone(tmp_path / "a.wav"), 9)
    probed = probe(recordings, JobOptions(decode_processes=2), limit_s=-1)
    assert (probed.asked, probed.found) == (9, ())
    assert probe((), JobOptions()) == Probe(0, (), pytest.approx(0, abs=1))


@pytest.mark.process
def test_a_file_that_takes_long_is_not_a_failure(tmp_path, monkeypatch):
    """A run gives it more time than a probe."""
    monkeypatch.setattr("earmark.pipeline.plan.probe.RECORDING_LIMIT_S", 1.5)
    sample = [*sample_of(write_tone(tmp_path / "hang.wav"), 1), *sample_of(write_tone(tmp_path / "segfault.wav"), 1)]
    probed = probe(sample, JobOptions(decode_processes=2), decode=crash_or_hang)
    assert (probed.asked, [result.error for result in probed.found]) == (2, ["crashed"])
    as_a_run = JobOptions(decode_processes=2, recording_timeout_s=1.5)
    assert sorted(one.error for one in probe(sample, as_a_run, decode=crash_or_hang).found) == ["crashed", "timeout"]


def sample_of(path, count):
    return [Recording(f"{path.stem}{number}", str(path)) for number in range(count)]


def test_a_failure_takes_no_work():
    assert Probed("id", "uri", 5.0, None, "not_found", "there is none").decoded_s == 0
