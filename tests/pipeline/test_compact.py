"""`earmark compact`: the same rows and failures in fewer files."""

import os
import random
import subprocess
import sys
import uuid

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earmark.pipeline import compact as module
from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store, part_urls
from earmark.schemas.errors import JobError
from earmark.schemas.records import PartReport
from earmark.transforms.output.lease import take_lease
from earmark.transforms.output.store import JOB_PATH, MERGED_FOLDER, OutputStore, encode_part
from tests.support.audio import odd_decoders
from tests.support.jobs import annotations, failures, run_here, transcripts, write_manifest, write_tone, write_tones
from tests.support.outputs.parts import (
    FAILURE,
    KEYS,
    bytes_of_three_parts,
    make_part,
    read_contents,
    small_part_contents,
    write_small_parts,
)

LARGE = 2**20


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "LISTING_S", 0.0)


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    root = str(tmp_path / "out") if request.param == "local" else f"memory://out-{uuid.uuid4().hex}"
    store = OutputStore(root)
    write_small_parts(store, KEYS)
    return store


def test_many_parts_become_few_with_the_same_rows(store):
    done = compact_store(store, bytes_of_three_parts(store))
    assert (done.parts_before, done.parts_after, done.replaced, done.merged) == (12, 4, 12, 4)
    assert read_contents(store) == small_part_contents(KEYS)
    assert len(store.parts()) == len(store.part_bytes()) == 4
    assert all(path.startswith(MERGED_FOLDER) for path in store.parts())
    assert store.names(f"_earmark/runs/{done.run_id}") == ["compact.json"]


def test_a_second_compaction_has_nothing_to_do_and_a_later_one_merges_only_small_parts(store):
    noise = random.Random(1).randbytes(20_000).hex()  # more than the other parts together
    store.create(store.part_path("f0aa"), make_part("f0aa", [("f0aa-0", {"noise": noise}), ("f0aa-1", {})], [FAILURE]))
    compact_store(store, LARGE)
    (first,) = store.parts()
    done = compact_store(store, LARGE)
    assert (done.merged, store.parts()) == (0, [first])
    write_small_parts(store, ["f1aa", "f2aa"])
    assert compact_store(store, 2 * store.part_bytes()[first] - 1).replaced == 2, (
        "the first part is not small for this limit"
    )
    assert first in store.parts() and len(store.parts()) == 2
    assert compact_store(store, LARGE).replaced == 2
    assert read_contents(store) == small_part_contents([*KEYS, "f0aa", "f1aa", "f2aa"])


@pytest.mark.model
def test_values_and_types_stay_the_same_for_every_reader(tmp_path):
    rows = write_tones(tmp_path / "audio", 12)
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out", shard_rows=2, task=("transcribe", "emotion"))
    folder = tmp_path / "out" / "annotations"
    before, schema = annotations(tmp_path / "out"), pq.read_schema(next(folder.glob("*/*.parquet")))
    compact_store(OutputStore(str(tmp_path / "out")), LARGE)
    (merged,) = folder.glob("*/*.parquet")
    assert annotations(tmp_path / "out") == before
    assert pq.read_schema(merged).equals(schema)
    texts = {row["id"]: row["text"] for row in rows}
    table = pd.read_parquet(folder)
    assert {row.id: row.transcribe["text"] for row in table.itertuples()} == texts
    assert dict(duckdb.sql(f"SELECT id, transcribe.text FROM '{folder}/*/*.parquet'").fetchall()) == texts
    listed = part_urls(str(tmp_path / "out"))
    assert dict(duckdb.sql(f"SELECT id, transcribe.text FROM read_parquet({listed})").fetchall()) == texts


@pytest.mark.model
def test_nightly_runs_continue_after_a_compaction(tmp_path):
    rows = write_tones(tmp_path / "audio", 10)
    late = {"id": "late", "audio_filepath": str(tmp_path / "late.wav")}
    output, store = tmp_path / "out", OutputStore(str(tmp_path / "out"))
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows[:6], late])
    assert run_here(manifest, output, shard_rows=2).failed == 1
    failed = (output / "failures" / "failures.parquet").read_bytes()
    compact_store(store, LARGE)
    assert len(store.parts()) == 1
    assert (output / "failures" / "failures.parquet").read_bytes() == failed

    with_kept = run_here(manifest, output, decode=odd_decoders.refuse, keep_failures=True)
    assert (with_kept.already_annotated, with_kept.kept_failures) == (6, 1)
    assert (with_kept.annotated, with_kept.adds_up) == (0, True)
    assert (output / "failures" / "failures.parquet").read_bytes() == failed
    write_manifest(manifest, [*rows, late])
    grown = run_here(manifest, output, shard_rows=2)
    assert (grown.already_annotated, grown.annotated, grown.failed, grown.adds_up) == (6, 4, 1, True)
    compact_store(store, LARGE)
    write_tone(tmp_path / "late.wav")
    retried = run_here(manifest, output)
    assert (retried.already_annotated, retried.annotated, retried.failed, retried.adds_up) == (10, 1, 0, True)
    assert failures(output) == []
    compact_store(store, LARGE)
    assert len(store.parts()) == 1
    done = run_here(manifest, output, decode=odd_decoders.refuse)
    assert (done.already_annotated, done.annotated, done.failed, done.adds_up) == (11, 0, 0, True)
    assert {id: text for id, text in transcripts(output).items() if id != "late"} == {r["id"]: r["text"] for r in rows}


def test_replaced_parts_stay_until_an_earlier_listing_has_ended(store, monkeypatch):
    waits = []
    monkeypatch.setattr(module, "sleep", lambda s: waits.append((s, sorted(store.part_bytes()), store.parts())))
    small = store.parts()
    monkeypatch.setattr(module, "LISTING_S", 7.0)
    compact_store(store, LARGE)
    ((waited_s, files, current),) = waits
    assert waited_s == 7.0
    assert files == sorted([*small, *current]) and len(current) == 1


def test_a_compaction_and_a_run_refuse_to_start_during_each_other(tmp_path, store, monkeypatch):
    with take_lease(store, "run7", take_over=False):
        with pytest.raises(JobError, match=r"run run7 .*is writing to .*--take_over"):
            compact_store(store, LARGE)
        assert len(store.parts()) == 12
        assert compact_store(store, LARGE, take_over=True).merged == 1
    write_small_parts(store, ["f1aa", "f2aa"])

    def run_meanwhile(_):
        with pytest.raises(JobError, match="is writing to"):
            take_lease(store, "run8", take_over=False)
        refused.append(True)

    refused = []
    monkeypatch.setattr(module, "sleep", run_meanwhile)
    compact_store(store, LARGE)
    assert refused == [True]


def test_the_command_prints_what_it_merged(tmp_path, capsys):
    store = OutputStore(str(tmp_path / "out"))
    write_small_parts(store, KEYS)
    assert main(["compact", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "merged          12 into 1" in printed and "parts now       1" in printed
    assert main(["parts", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/out/{path}" for path in store.parts()]
    assert main(["compact", str(tmp_path / "out")]) == 0
    assert "Nothing to merge in 1 part" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compact", "nothing here"], "nothing here is not an output of earmark: it has no _earmark/job.json"),
        (["compact", "out", "--part_mb=0"], "--part_mb=0 does not work: give 1 or more"),
        (["compact", "nowhere://out"], "output nowhere://out cannot be compacted: Protocol not known"),
        (["parts", "nowhere://out"], "output nowhere://out cannot be read: Protocol not known"),
        (["parts", "nothing here"], "nothing here has no annotations"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_1(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_file_among_the_parts_stops_it_and_is_named(store):
    store.create("annotations/aa/mine.parquet", b"not by earmark")
    with pytest.raises(JobError, match=r"annotations/aa/mine\.parquet is not a part that earmark wrote"):
        compact_store(store, LARGE)
    assert len(store.part_bytes()) == 13


@pytest.mark.process
def test_compact_and_parts_import_neither_beam_nor_torch():
    heavy = "{'apache_beam', 'torch', 'librosa', 'pandas'}"
    code = f"import sys, earmark.pipeline.compact; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def fill_with_noise(store, parts):
    """Parts of a quarter of a megabyte."""
    store.create(JOB_PATH, b"{}")
    noise, rows = random.Random(1), range(50)
    texts = pa.array([noise.randbytes(5000).hex() for _ in rows])
    table = pq.read_table(pa.BufferReader(make_part("k", [(str(row), {}) for row in rows])))
    table = table.set_column(table.schema.get_field_index("reference"), "reference", texts)
    for number in range(parts):
        key = f"{number * 2654435761 % 2**32:08x}"
        ids = pa.array([f"{key}-{row}" for row in rows])
        named = table.set_column(0, pa.field("id", pa.string(), nullable=False), ids)
        store.create(store.part_path(key), encode_part(named, PartReport(key, len(rows), ()), "run1", "f00d"))


PEAK = """
import sys
from pathlib import Path
from earmark.pipeline import compact
from earmark.transforms.output.store import OutputStore
compact.LISTING_S = 0.0
done = compact.compact_store(OutputStore(sys.argv[1]), 4 * 2**20)
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(done.replaced, done.merged, int(peak.split()[1]) / 1000)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not say")
def test_memory_grows_with_a_part_not_with_the_output(tmp_path):
    peaks_mb = []
    for parts in (100, 500):
        store = OutputStore(str(tmp_path / str(parts)))
        fill_with_noise(store, parts)
        ended = subprocess.run([sys.executable, "-c", PEAK, store.root], capture_output=True, text=True, check=True)
        replaced, merged, peak_mb = map(float, ended.stdout.split())
        assert (replaced, merged > 5) == (parts, True)
        peaks_mb.append(peak_mb)
    assert peaks_mb[1] - peaks_mb[0] < 40, peaks_mb  # of 100 MB that the larger output has more
