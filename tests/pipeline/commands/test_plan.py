"""`earmark plan` as a user types it: what is printed, --json, --measure."""

import json

import numpy as np
import pytest
import soundfile

from earmark.pipeline.cli import main
from tests.support.jobs import PHONE_PROMPTS, TINY, run_command, write_manifest, write_tone

pytestmark = pytest.mark.model

SCENES = PHONE_PROMPTS.parent.parent / "scenes" / "manifest.jsonl"


def planned(capsys, *arguments):
    assert main(["plan", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_holds_every_figure_and_nothing_else_is_printed(capsys):
    report = planned(capsys, PHONE_PROMPTS, "--probe", "4", "--model", "whisper-tiny.en", "--device", "cpu")
    assert report.keys() == {
        "plan",
        "lengths",
        "probe",
        "warnings",
        "models",
        "estimates",
        "measured_here",
        "memory",
    }
    assert (report["plan"]["recordings"], report["plan"]["sample"]) == (24, [])
    assert report["lengths"]["audio_s"] == pytest.approx(75.979)
    assert (report["probe"]["asked"], len(report["probe"]["found"])) == (4, 4)
    assert all(row["facts"]["sample_rate"] == 8000 for row in report["probe"]["found"])
    (warning,) = report["warnings"]
    assert (warning["kind"], warning["recordings"]) == ("low_sample_rate", 4)
    measured = {row["device"]: row for row in report["estimates"] if row["work_s"] is not None}
    (processor,) = measured.values()
    assert processor["work_s"] == pytest.approx(report["lengths"]["audio_s"] / 5.0)
    assert report["memory"][0]["here"] and report["memory"][0]["weights_gb"] == pytest.approx(0.151, abs=0.001)
    assert report["measured_here"] is None


def test_the_sample_depends_only_on_the_seed(capsys):
    def ids(*arguments):
        return [row["id"] for row in planned(capsys, PHONE_PROMPTS, "--probe", "3", *arguments)["probe"]["found"]]

    assert ids() == ids()
    assert ids() != ids("--seed", "1")


def test_durations_missing_from_the_manifest_are_estimated(tmp_path, capsys):
    paths = sorted(SCENES.parent.glob("*.flac"))
    # Ids decide which files are probed: with those of the folder, the sample would depend on where the repository is.
    manifest = write_manifest(tmp_path / "m.jsonl", [{"id": path.name, "audio": str(path)} for path in paths])
    report = planned(capsys, manifest, "--probe", "8")
    lengths_s = [soundfile.info(path).duration for path in paths]
    lengths = report["lengths"]
    assert (lengths["unknown"], lengths["probed"], lengths["known_s"]) == (16, 8, 0)
    assert abs(lengths["audio_s"] - sum(lengths_s)) < 3 * lengths["error_s"] / 1.96
    assert planned(capsys, manifest, "--probe", "16")["lengths"]["audio_s"] == pytest.approx(sum(lengths_s), abs=0.01)


def test_without_a_probe_nothing_is_decoded_or_estimated(capsys, tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [{"audio": "none.wav"}, {"audio": "b.wav", "duration": 2}])
    report = planned(capsys, manifest, "--probe", "0")
    assert (report["probe"]["asked"], report["lengths"]["audio_s"], report["warnings"]) == (0, None, [])


def test_a_sample_is_annotated_to_measure_this_machine(capsys, tmp_path):
    rows = [{"audio": str(write_tone(tmp_path / f"{number}.wav", 1.0))} for number in range(6)]
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows, {"audio": "missing.wav"}])
    before = sorted(tmp_path.rglob("*"))
    model = ("--task", "caption,emotion", "--model", TINY, "--device", "cpu")
    here = planned(capsys, manifest, *model, "--measure", "7")["measured_here"]
    assert (here["recordings"], here["failed"], here["audio_s"]) == (6, 1, pytest.approx(6))
    assert here["rtfx"] == pytest.approx(here["audio_s"] / here["sample_s"])
    assert here["work_s"] == pytest.approx(6 / here["rtfx"]), "the missing row is no work"
    assert here["run_s"] == pytest.approx(here["start_s"] + here["work_s"])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_measurement_that_is_impossible_is_one_line(tmp_path, capsys):
    manifest = write_manifest(tmp_path / "m.jsonl", [{"audio": "missing.wav"}])
    assert main(["plan", str(manifest), "--measure", "2"]) == 1
    assert capsys.readouterr().err.startswith("earmark: no model is named for transcribe")
    assert main(["plan", str(manifest), "--probe", "-1"]) == 1
    assert capsys.readouterr().err.startswith("earmark: --probe=-1 does not work")
    assert main(["plan", str(manifest), "--measure", "2", "--task", "caption", "--model", str(TINY)]) == 0
    assert "no estimate, because every recording of the sample failed (1)" in capsys.readouterr().out


def test_the_printed_plan_has_lengths_warnings_and_costs(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    samples = np.zeros(16_000, np.float32)
    soundfile.write(tmp_path / "quiet.wav", samples, 16_000)
    rows = [{"audio": "quiet.wav"}, {"audio": "[red]<b>.wav", "duration": 3600 * 1000}]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    done = run_command("plan", manifest, "--model", "whisper-tiny.en", "--device", "cpu", "--max_duration_s", "1e9")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "under 5 s about 1 0.000" in lines
    assert "30 min or more 1 1,000.000" in lines
    assert any("200.0 h 21.00 USD bench_pipeline, 2026-11-22" in line for line in lines), (
        "as docs/deploy.md computes it"
    )
    assert any(line.startswith("1 of 2 in the manifest: silent") for line in lines)
    assert any("[red]<b>.wav" in line for line in lines)
    assert any(line.startswith("NVIDIA L4 not measured") for line in lines)
