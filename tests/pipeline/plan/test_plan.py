"""`earmark plan`: recordings, shards and what an output has already."""

import dataclasses
import pickle

from earmark.pipeline.plan.plan import make_plan
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Failure, Recording
from earmark.transforms.output.store import OutputStore
from tests.support.jobs import write_manifest
from tests.support.outputs.parts import make_part


def test_a_plan_counts_every_row_once(tmp_path):
    rows = [{"id": f"r{number:04d}", "audio": f"{number}.wav", "duration": 2.0} for number in range(1000)]
    twins = [{**row, "audio": f"z{row['audio']}", "duration": 500.0} for row in rows[:300]]
    manifest = write_manifest(tmp_path / "m.jsonl", [*twins, *rows, {"id": "broken"}])
    store = OutputStore(str(tmp_path / "out"))
    failed = [Failure(f"r{number:04d}", "u", "DecodeAudio", "not_found", "", "run1") for number in range(600, 650)]
    store.create(store.part_path("k1"), make_part("k1", [(f"r{number:04d}", {}) for number in range(200)], failed))

    plan = make_plan(str(manifest), store.root, JobOptions(shard_rows=50), 2)
    assert (plan.recordings, plan.known_s, plan.of_known) == (800, 1600.0, 800)
    assert (plan.already_annotated, plan.kept_failures, plan.duplicates, len(plan.failures)) == (200, 0, 300, 1)
    assert 800 / 50 <= plan.shards <= 64
    without_failures = make_plan(str(manifest), store.root, JobOptions(keep_failures=True), 2)
    assert (without_failures.recordings, without_failures.kept_failures) == (750, 50)


def test_a_recording_keeps_every_field_through_pickling():
    values = {field.name: f"a {field.name}" for field in dataclasses.fields(Recording)}
    recording = Recording(**values)
    assert dataclasses.asdict(pickle.loads(pickle.dumps(recording))) == values
