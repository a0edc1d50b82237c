"""The promises of `earmark annotate`, end to end: the Parquet is read back and compared with the source."""

import json
import random

import pytest

from earmark.schemas.errors import JobError
from tests.support.audio import odd_decoders
from tests.support.audio.hostile_files import make_hostile_files
from tests.support.jobs import annotations, failures, run_here, transcripts, write_manifest, write_tone, write_tones

pytestmark = pytest.mark.model


def test_every_recording_becomes_one_row_with_its_transcript(tmp_path):
    rows = write_tones(tmp_path / "audio", 40)
    summary = run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out", shard_rows=8)
    assert (summary.planned, summary.annotated, summary.failed, summary.adds_up) == (40, 40, 0, True)
    annotated = annotations(tmp_path / "out")
    assert [row["id"] for row in annotated] == [row["id"] for row in rows]
    for row, source in zip(annotated, rows, strict=True):
        assert row["transcribe"]["text"] == row["reference"] == source["text"]
        assert row["uri"] == source["audio_filepath"]
        assert row["extra"] == {"number": str(source["number"])}
        assert row["audio"]["duration_s"] == pytest.approx(0.2 + 0.01 * source["number"], abs=1e-4)
        assert row["audio"]["bandwidth_hz"] == pytest.approx(440, abs=40)
        assert row["audio"]["snr_db"] is None  # no speech


def test_a_missing_file_fails_alone(tmp_path):
    rows = [*write_tones(tmp_path / "audio", 5), {"id": "gone", "audio_filepath": "gone.wav"}]
    summary = run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    assert (summary.annotated, summary.failed, summary.adds_up) == (5, 1, True)
    (failure,) = failures(tmp_path / "out")
    assert (failure["id"], failure["stage"], failure["error"]) == ("gone", "DecodeAudio", "not_found")
    assert failure["message"].startswith(f"there is no {str(tmp_path / 'gone.wav')!r}")


def test_a_second_run_without_new_recordings_decodes_nothing(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 12))
    run_here(manifest, tmp_path / "out")
    before = annotations(tmp_path / "out")
    summary = run_here(manifest, tmp_path / "out", decode=odd_decoders.refuse)
    assert (summary.planned, summary.already_annotated, summary.annotated, summary.adds_up) == (12, 12, 0, True)
    assert annotations(tmp_path / "out") == before


def test_only_the_rows_added_to_a_finished_manifest_are_annotated(tmp_path):
    rows = write_tones(tmp_path / "audio", 30)
    run_here(write_manifest(tmp_path / "m.jsonl", rows[:20]), tmp_path / "out")
    summary = run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    assert (summary.already_annotated, summary.annotated, summary.adds_up) == (20, 10, True)
    assert transcripts(tmp_path / "out") == {row["id"]: row["text"] for row in rows}


def test_order_of_rows_and_number_of_workers_do_not_change_the_output(tmp_path):
    rows = write_tones(tmp_path / "audio", 30)
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "one", workers=1)
    random.Random(5).shuffle(rows)
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "four", workers=4)
    assert annotations(tmp_path / "one") == annotations(tmp_path / "four")


def test_a_failure_is_retried_and_removed_once_it_succeeds(tmp_path):
    rows = [*write_tones(tmp_path / "audio", 3), {"id": "late", "audio_filepath": str(tmp_path / "late.wav")}]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    assert run_here(manifest, tmp_path / "out").failed == 1
    assert run_here(manifest, tmp_path / "out").failed == 1, "still missing: retried, failed again"
    assert [failure["id"] for failure in failures(tmp_path / "out")] == ["late"]
    write_tone(tmp_path / "late.wav")
    summary = run_here(manifest, tmp_path / "out")
    assert (summary.annotated, summary.failed, summary.adds_up) == (1, 0, True)
    assert failures(tmp_path / "out") == []
    assert [row["id"] for row in annotations(tmp_path / "out")] == ["late", "r0000", "r0001", "r0002"]


def test_kept_failures_are_not_retried(tmp_path):
    rows = [*write_tones(tmp_path / "audio", 3), {"id": "bad", "audio_filepath": str(tmp_path / "bad.wav")}]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    run_here(manifest, tmp_path / "out")
    summary = run_here(manifest, tmp_path / "out", decode=odd_decoders.refuse, keep_failures=True)
    assert (summary.kept_failures, summary.failed, summary.adds_up) == (1, 0, True)
    assert [failure["id"] for failure in failures(tmp_path / "out")] == ["bad"]


def test_duplicates_are_annotated_once_and_listed(tmp_path):
    rows = write_tones(tmp_path / "audio", 4)
    twin = {**rows[0], "audio_filepath": rows[1]["audio_filepath"]}
    summary = run_here(write_manifest(tmp_path / "m.jsonl", [twin, *rows, rows[2]]), tmp_path / "out")
    assert (summary.planned, summary.annotated, summary.duplicates, summary.adds_up) == (4, 4, 2, True)
    assert transcripts(tmp_path / "out")["r0000"] == rows[0]["text"], "the smaller uri wins"
    assert len(list((tmp_path / "out").glob("_earmark/runs/*/duplicates.parquet"))) == 1


def test_an_invalid_manifest_line_is_a_failure_with_its_line_number(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 3))
    manifest.write_text(manifest.read_text() + '{"audio_filepath": \n')
    summary = run_here(manifest, tmp_path / "out")
    assert (summary.planned, summary.annotated, summary.failed, summary.adds_up) == (4, 3, 1, True)
    (failure,) = failures(tmp_path / "out")
    assert failure["id"] == f"{manifest}:4"


def test_columns_of_any_name_are_kept_in_extra(tmp_path):
    rows = write_tones(tmp_path / "audio", 2)
    rows[0] |= {"audio": "x", "emotion": "joy", "transcribe": 1}
    rows[1] |= {"uri": None, "nested": {"a": [1, 2]}}
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    first, second = annotations(tmp_path / "out")
    assert first["extra"] == {"audio": "x", "emotion": "joy", "transcribe": "1", "number": "0"}
    assert second["extra"] == {"nested": '{"a": [1, 2]}', "number": "1", "uri": ""}


def test_limit_takes_the_first_rows_of_the_manifest(tmp_path):
    rows = write_tones(tmp_path / "audio", 9)
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    assert run_here(manifest, tmp_path / "out", limit=4).annotated == 4
    assert sorted(transcripts(tmp_path / "out")) == ["r0000", "r0001", "r0002", "r0003"]
    assert run_here(manifest, tmp_path / "out").annotated == 5


def test_audio_beyond_the_memory_of_a_shard_gives_the_same_answers(tmp_path):
    path = write_tone(tmp_path / "long.wav", seconds=40)
    manifest = write_manifest(tmp_path / "m.jsonl", [{"id": "long", "audio_filepath": str(path)}])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run_here(manifest, tmp_path / "held")
    run_here(manifest, tmp_path / "spilled", shard_memory_mb=1, scratch_dir=str(scratch))
    assert annotations(tmp_path / "held") == annotations(tmp_path / "spilled")
    assert list(scratch.iterdir()) == []


def test_another_job_is_refused_in_the_same_folder(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 2))
    run_here(manifest, tmp_path / "out")
    with pytest.raises(JobError, match=r"beam_size was 0, now 1.*another output folder"):
        run_here(manifest, tmp_path / "out", beam_size=1)


def test_too_many_failures_stop_the_job(tmp_path):
    rows = [{"id": f"{number:05d}", "audio_filepath": "nowhere.wav"} for number in range(1500)]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    with pytest.raises(JobError, match=r"recordings failed, more than --max_failure_ratio 0.5"):
        run_here(manifest, tmp_path / "out")
    assert run_here(manifest, tmp_path / "out", max_failure_ratio=1.0).failed == 1500


def test_a_mostly_unreadable_manifest_stops_the_job(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [{"wav": "a.wav"}] * 1200)
    with pytest.raises(JobError, match=r"1000 of 1000 recordings failed, more than --max_failure_ratio"):
        run_here(manifest, tmp_path / "out")


def test_duplicate_ids_in_the_output_are_reported(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 3))
    run_here(manifest, tmp_path / "out", workers=1, shard_rows=8)
    (part, *_) = (tmp_path / "out").glob("annotations/*/*.parquet")
    part.with_name(f"part-{'cd' * 16}.parquet").write_bytes(part.read_bytes())
    summary = run_here(manifest, tmp_path / "out")
    assert summary.doubled > 0 and not summary.adds_up
    assert set(summary.doubled_ids) <= {"r0000", "r0001", "r0002"}


def test_the_output_records_the_job_and_the_run_that_made_it(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 2))
    run_here(manifest, tmp_path / "out", language="en")
    job = json.loads((tmp_path / "out" / "_earmark" / "job.json").read_text())
    (task,) = job["tasks"]
    assert (task["name"], task["model"], job["language"]) == ("transcribe", "describing", "en")
    (about,) = (tmp_path / "out").glob("_earmark/runs/*/run.json")
    run = json.loads(about.read_text())
    assert run["fingerprint"] == job["fingerprint"] and run["manifests"] == [str(manifest)]
    assert set(run["libraries"]) >= {"earmark", "apache-beam", "ctranslate2"}


def test_the_output_may_be_on_any_file_system(tmp_path):
    import fsspec

    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 6))
    output = f"memory://{tmp_path.name}"
    assert run_here(manifest, output).annotated == 6
    assert run_here(manifest, output, decode=odd_decoders.refuse).already_annotated == 6
    assert len(fsspec.filesystem("memory").glob(f"{output}/failures/*")) == 1


def test_hostile_files_fail_as_expected_and_alone(tmp_path):
    hostile = make_hostile_files(tmp_path / "hostile")
    named = [{"id": file.name, "audio_filepath": file.uri} for file in hostile]
    good = write_tones(tmp_path / "audio", 10)
    summary = run_here(write_manifest(tmp_path / "m.jsonl", [*named, *good]), tmp_path / "out")
    assert summary.adds_up and summary.planned == len(hostile) + len(good)
    assert {row["id"]: row["error"] for row in failures(tmp_path / "out")} == {
        file.name: file.error for file in hostile if file.error
    }
    assert all(len(row["message"]) > 20 for row in failures(tmp_path / "out"))
    texts = transcripts(tmp_path / "out")
    assert set(texts) == {file.name for file in hostile if not file.error} | {row["id"] for row in good}
    assert {row["id"]: texts[row["id"]] for row in good} == {row["id"]: row["text"] for row in good}
