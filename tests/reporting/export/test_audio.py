"""`earmark export` with audio: lhotse and datasets load the samples that were annotated."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import lhotse
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from earmark.reporting.export.captions import file_name
from earmark.reporting.export.export import export
from earmark.reporting.export.options import ExportOptions
from tests.support.audio.noise import write_noise
from tests.support.jobs import annotations, run_here
from tests.support.outputs.cards import code_blocks, metadata_of, run_offline
from tests.support.outputs.export_rows import HOSTILE, answered_row, write_answered


def test_lhotse_reads_and_validates_its_manifests(hostile_output, tmp_path):
    export(str(hostile_output), str(tmp_path / "lhotse"), ExportOptions("lhotse"))
    recordings = lhotse.RecordingSet.from_file(tmp_path / "lhotse" / "recordings.jsonl.gz")
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "lhotse" / "supervisions.jsonl.gz")
    recordings, supervisions = recordings.to_eager(), supervisions.to_eager()
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    assert set(supervisions.ids) == set(recordings.ids) == set(HOSTILE)
    cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    for cut in cuts:
        (supervision,) = cut.supervisions
        assert (supervision.text, supervision.language) == (f"{supervision.id} and", "en")
        assert (supervision.custom["emotion"], supervision.custom["reference"]) == ("joy", supervision.id)
        samples, rate = soundfile.read(cut.recording.sources[0].source, dtype="float32")
        assert rate == 16_000 and np.array_equal(cut.load_audio()[0], samples)


def test_lhotse_loads_the_same_parts_of_files(tmp_path):
    path = write_noise(tmp_path / "x.wav", 2.0, channels=2)
    rows = [
        answered_row("one", "x", path, 1.0, offset_s=0.5, channel=1),
        answered_row("both", "x", path, 2.0),
    ]
    write_answered(tmp_path / "labels", rows)
    export(str(tmp_path / "labels"), str(tmp_path / "lhotse"), ExportOptions("lhotse"))
    recordings = lhotse.RecordingSet.from_file(tmp_path / "lhotse" / "recordings.jsonl.gz").to_eager()
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "lhotse" / "supervisions.jsonl.gz").to_eager()
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    one, both = (supervisions[name] for name in ("one", "both"))
    assert (one.start, one.duration, one.channel, both.channel) == (0.5, 1.0, 1, [0, 1])
    loaded = recordings["one"].load_audio(channels=1, offset=one.start, duration=one.duration)
    samples, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(loaded[0], samples[8000:24_000, 1])


@pytest.mark.process
def test_a_folder_for_datasets_has_the_very_bytes_and_loads(hostile_output, tmp_path):
    exported = export(str(hostile_output), str(tmp_path / "hub"), ExportOptions("hf"))
    assert (exported.rows, exported.left_out) == (len(HOSTILE), {})
    files = {row["id"]: Path(row["uri"]) for row in annotations(hostile_output)}
    code = """
loaded = datasets.load_dataset("hub", split="train")
plain = datasets.load_dataset("parquet", data_files="hub/data/*.parquet", split="train")
assert loaded.features == plain.features, (loaded.features, plain.features)
assert isinstance(loaded.features["audio"], datasets.Audio)
rows = loaded.cast_column("audio", datasets.Audio(decode=False))
print(json.dumps([[row["id"], row["audio"]["bytes"].hex(), row["audio"]["path"], row["embed"], row["extra"]]
                  for row in rows]))
"""
    rows = json.loads(run_offline(code, tmp_path, tmp_path / "cache"))
    assert {row[0] for row in rows} == set(HOSTILE)
    for id, content, name, embed, extra in rows:
        assert bytes.fromhex(content) == files[id].read_bytes()
        assert name == file_name(id) + files[id].suffix and embed == [0.5, -1.0, 0.25]
        assert extra == [{"key": "=note", "value": id}]
    card = (tmp_path / "hub" / "README.md").read_text()
    assert metadata_of(card)["configs"] == [
        {"config_name": "annotations", "data_files": [{"split": "train", "path": "data/*.parquet"}], "default": True}
    ]
    assert len(code_blocks(card, "python")) == 2


def test_parts_of_files_are_cut_sample_by_sample(tmp_path):
    path = write_noise(tmp_path / "x.wav", 2.0, channels=2, rate=44_100)
    deep = tmp_path / "deep.flac"
    soundfile.write(deep, np.random.default_rng(1).uniform(-1, 1, 32_000), 16_000, "PCM_24")
    rows = [
        answered_row("part", "x", path, 1.0, offset_s=0.5),
        answered_row("channel", "x", path, 1.5, offset_s=0.5, channel=1),
        answered_row("start", "x", path, 0.5),
        answered_row("deep", "x", deep, 1.0, offset_s=1.0),
        dataclasses.replace(answered_row("gone", "x", path), uri=str(tmp_path / "gone.wav")),
    ]
    write_answered(tmp_path / "labels", rows)
    exported = export(str(tmp_path / "labels"), str(tmp_path / "hub"), ExportOptions("hf"))
    assert (exported.of, exported.rows, exported.left_out) == (5, 4, {"not_found": 1})
    assert exported.examples[0].id == "gone" and "gone.wav" in exported.examples[0].message
    samples_by_id = {}
    for row in pq.read_table(tmp_path / "hub" / "data").to_pylist():
        samples_by_id[row["id"]], _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int32", always_2d=True)
        assert row["audio"]["path"].endswith(".flac")
    source, _ = soundfile.read(path, dtype="int32", always_2d=True)
    assert np.array_equal(samples_by_id["part"], source[22_050 : 22_050 + 44_100])
    assert np.array_equal(samples_by_id["channel"], source[22_050:, 1:])
    assert np.array_equal(samples_by_id["start"], source[:22_050])
    assert np.array_equal(samples_by_id["deep"], soundfile.read(deep, dtype="int32", always_2d=True)[0][16_000:])


@pytest.mark.model
def test_audio_in_containers_is_exported(tmp_path):
    paths = [write_noise(tmp_path / "audio" / f"{number}.flac") for number in range(5)]
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for path in paths[:2]:
            tar.add(path, path.name)
    audio = [{"bytes": path.read_bytes(), "path": path.name} for path in paths[2:]]
    pq.write_table(pa.table({"speech": audio}), tmp_path / "x.parquet", row_group_size=2)
    run_here(tmp_path / "x.tar", tmp_path / "tar")
    run_here(tmp_path / "x.parquet", tmp_path / "rows", columns=("audio=speech",))
    for name, expected in (("tar", paths[:2]), ("rows", paths[2:])):
        exported = export(str(tmp_path / name), str(tmp_path / f"hub-{name}"), ExportOptions("hf"))
        assert (exported.rows, exported.in_containers, exported.left_out) == (len(expected), len(expected), {})
        rows = pq.read_table(tmp_path / f"hub-{name}" / "data").to_pylist()
        contents = [row["audio"]["bytes"] for row in sorted(rows, key=lambda row: str(row["uri"]))]
        assert contents == [path.read_bytes() for path in expected]
