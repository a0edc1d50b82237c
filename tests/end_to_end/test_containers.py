"""Whole jobs on containers of audio: the same answers as from single files, and the same promises."""

import json
import random
import signal
import threading
from pathlib import Path

import pytest

from earmark.transforms import decode_shard
from tests.support.audio import odd_decoders
from tests.support.audio.containers import samples_of, write_audio_parquet, write_containers, write_tar
from tests.support.jobs import (
    annotations,
    failures,
    run_command,
    run_here,
    same,
    transcripts,
    write_manifest,
    write_tones,
)
from tests.support.killed_jobs import annotate_command, start_job, write_many_prompts

pytestmark = pytest.mark.model


def answers_of(output):
    """Annotations but for what names the source."""
    left_out = ("uri", "extra")
    return [{name: value for name, value in row.items() if name not in left_out} for row in annotations(output)]


KINDS = pytest.mark.parametrize("kind", ["tar", "parquet"])


@KINDS
def test_answers_are_those_of_single_files(tmp_path, kind):
    rows = write_tones(tmp_path / "audio", 40)
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "files", shard_rows=8)
    summary = run_here(write_containers(tmp_path, kind, rows), tmp_path / "out", shard_rows=8)
    assert (summary.planned, summary.annotated, summary.failed, summary.adds_up) == (40, 40, 0, True)
    assert answers_of(tmp_path / "out") == answers_of(tmp_path / "files")
    run_here(tmp_path / f"*.{kind}", tmp_path / "four", shard_rows=3, workers=4)
    assert annotations(tmp_path / "four") == annotations(tmp_path / "out")
    for row, source in zip(annotations(tmp_path / "out"), rows, strict=True):
        assert row["reference"] == source["text"] and row["extra"]["number"] == str(source["number"])
        container = source["number"] // 10
        expected = (
            f"tar://tone{source['number']}.wav::file://{tmp_path}/{container}.tar"
            if kind == "tar"
            else f"{tmp_path}/{container}.parquet#row={source['number'] % 10}"
        )
        assert row["uri"] == expected


def test_a_part_of_a_member_can_be_annotated(tmp_path):
    (row,) = write_tones(tmp_path / "audio", 1)
    parts = [{**row, "id": f"{offset}", "offset": offset, "duration": 0.05} for offset in (0.0, 0.1)]
    assert run_here(write_audio_parquet(tmp_path / "a.parquet", parts), tmp_path / "out").annotated == 2
    assert [row["audio"]["duration_s"] for row in annotations(tmp_path / "out")] == [0.05, 0.05]


@KINDS
def test_only_what_is_new_in_a_grown_set_is_unpacked(tmp_path, kind):
    rows = write_tones(tmp_path / "audio", 30)
    run_here(write_containers(tmp_path, kind, rows[:20]), tmp_path / "out")
    nothing = run_here(f"{tmp_path}/*.{kind}", tmp_path / "out", decode=odd_decoders.refuse)
    assert (nothing.already_annotated, nothing.annotated, nothing.adds_up) == (20, 0, True)
    summary = run_here(write_containers(tmp_path, kind, rows), tmp_path / "out")
    assert (summary.already_annotated, summary.annotated, summary.adds_up) == (20, 10, True)
    assert transcripts(tmp_path / "out") == {row["id"]: row["text"] for row in rows}


def test_limit_columns_and_duplicates_are_as_with_other_manifests(tmp_path):
    rows = write_tones(tmp_path / "audio", 12)
    rows[11]["id"] = rows[0]["id"]  # in another container
    manifest = write_containers(tmp_path, "tar", rows, each=6)
    assert run_here(manifest, tmp_path / "few", limit=5).annotated == 5
    summary = run_here(manifest, tmp_path / "out")
    assert (summary.planned, summary.annotated, summary.duplicates, summary.adds_up) == (11, 11, 1, True)
    assert transcripts(tmp_path / "out")["r0000"] == rows[0]["text"]
    run_here(manifest, tmp_path / "named", columns=("id=number",))
    assert sorted(transcripts(tmp_path / "named"), key=int) == [str(number) for number in range(12)]


@KINDS
def test_one_bad_recording_is_one_failure_that_is_tried_again(tmp_path, kind):
    rows = write_tones(tmp_path / "audio", 6)
    good = Path(str(rows[2]["audio_filepath"])).read_bytes()
    Path(str(rows[2]["audio_filepath"])).write_bytes(b"no audio" * 100)
    Path(str(rows[4]["audio_filepath"])).write_bytes(b"")
    manifest = write_containers(tmp_path, kind, rows)
    for _ in range(2):
        summary = run_here(manifest, tmp_path / "out")
        assert (summary.failed, summary.planned, summary.adds_up) == (2, 6, True)
    errors = {row["id"]: (row["error"], row["stage"]) for row in failures(tmp_path / "out")}
    assert errors == {"r0002": ("not_decodable", "DecodeAudio"), "r0004": ("empty_file", "DecodeAudio")}
    Path(str(rows[2]["audio_filepath"])).write_bytes(good)
    summary = run_here(write_containers(tmp_path, kind, rows), tmp_path / "out")
    assert (summary.annotated, summary.failed) == (1, 1)


def test_only_the_missing_members_of_a_tar_cut_short_fail(tmp_path):
    rows = write_tones(tmp_path / "audio", 6)
    tar = write_tar(tmp_path / "0.tar", samples_of(rows))
    complete = write_tar(tmp_path / "1.tar", samples_of(write_tones(tmp_path / "more", 9)[6:]))
    tar.write_bytes(tar.read_bytes()[: -tar.stat().st_size // 3])
    summary = run_here(f"{tmp_path}/*.tar", tmp_path / "out")
    assert summary.adds_up and summary.failed == 1
    assert {row["id"] for row in annotations(tmp_path / "out")} >= {"r0000", "r0001", "r0006", "r0007", "r0008"}
    (failure,) = failures(tmp_path / "out")
    assert (failure["stage"], failure["error"]) == ("ReadManifest", "bad_manifest_row")
    assert "cut short" in failure["message"] and complete.exists()


@pytest.mark.process
def test_only_the_recordings_of_a_container_that_crashes_its_reader_fail(tmp_path, monkeypatch):
    rows = write_tones(tmp_path / "audio", 4)
    for number, name in enumerate(("good", "segfault")):
        write_tar(tmp_path / f"{name}.tar", samples_of(rows[2 * number : 2 * number + 2]))
    monkeypatch.setattr(decode_shard, "unpack_containers", odd_decoders.crash_unpacking)
    summary = run_here(f"{tmp_path}/*.tar", tmp_path / "out")
    assert (summary.annotated, summary.failed, summary.adds_up) == (2, 2, True)
    assert {row["id"]: row["error"] for row in failures(tmp_path / "out")} == {"r0002": "crashed", "r0003": "crashed"}


@KINDS
def test_a_container_that_changes_after_planning_is_not_decoded_as_something_else(tmp_path, monkeypatch, kind):
    rows = write_tones(tmp_path / "audio", 6)
    manifest = write_containers(tmp_path, kind, rows)
    real = decode_shard.unpack_requests

    def change_then_unpack(*arguments):
        write_containers(tmp_path, kind, rows[::-1])
        return real(*arguments)

    monkeypatch.setattr(decode_shard, "unpack_requests", change_then_unpack)
    assert run_here(manifest, tmp_path / "out").failed == 6
    assert {row["error"] for row in failures(tmp_path / "out")} == {"container_changed"}
    monkeypatch.undo()
    assert run_here(manifest, tmp_path / "out").annotated == 6
    assert transcripts(tmp_path / "out") == {row["id"]: row["text"] for row in rows}


def test_unpacked_files_are_removed_from_the_disk(tmp_path):
    (tmp_path / "scratch").mkdir()
    manifest = write_containers(tmp_path, "tar", write_tones(tmp_path / "audio", 10))
    assert run_here(manifest, tmp_path / "out", scratch_dir=str(tmp_path / "scratch")).annotated == 10
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.process
def test_plan_counts_a_tar_and_touches_nothing(tmp_path):
    rows = [{**row, "duration": 0.2} for row in write_tones(tmp_path / "audio", 10)]
    manifest = write_containers(tmp_path, "tar", rows)
    run_here(manifest, tmp_path / "out", limit=4)
    before = sorted((tmp_path / "out").rglob("*"))
    planned = run_command("plan", manifest, tmp_path / "out", "--json")
    assert planned.returncode == 0, planned.stderr
    report = json.loads(planned.stdout)
    counts = {"recordings": 6, "known_s": pytest.approx(1.2), "of_known": 6, "already_annotated": 4}
    none = {"kept_failures": 0, "duplicates": 0, "failures": []}
    assert {name: report["plan"][name] for name in counts | none} == counts | none
    assert [one["error"] for one in report["probe"]["found"]] == [""] * 6
    assert sorted((tmp_path / "out").rglob("*")) == before


@pytest.mark.slow
@KINDS
def test_a_killed_job_delivers_every_recording_of_its_containers_once(tmp_path, kind):
    files = write_many_prompts(tmp_path / "m.jsonl")
    rows = [{**json.loads(line), "text": ""} for line in files.read_text().splitlines()][:80]
    for row in rows:  # members are named by their files, of which several rows have the same
        copy = tmp_path / "audio" / f"{row['id']}.flac"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(Path(row["audio_filepath"]).read_bytes())
        row["audio_filepath"] = str(copy)
    manifest = write_containers(tmp_path, kind, rows, each=40)
    process = start_job(annotate_command(Path(manifest), tmp_path / "killed"), tmp_path / "killed")
    threading.Event().wait(random.Random(20261123).uniform(0, 2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < len(annotations(tmp_path / "killed")) < len(rows), "killed at the right moment"
    resumed = run_command(*annotate_command(Path(manifest), tmp_path / "killed")[3:])
    undisturbed = run_command(*annotate_command(write_manifest(files, rows), tmp_path / "files")[3:])
    assert (resumed.returncode, undisturbed.returncode) == (0, 0), resumed.stderr
    after_kill, expected = answers_of(tmp_path / "killed"), answers_of(tmp_path / "files")
    assert [row["id"] for row in after_kill] == [row["id"] for row in rows]
    for row, other in zip(after_kill, expected, strict=True):
        assert same({**row, "reference": ""}, {**other, "reference": ""}), f"{row}\n{other}"
