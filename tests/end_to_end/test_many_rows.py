"""Enough rows to keep Beam's threads busy for longer than its timers."""

import pytest

from earmark.pipeline.runner import embedded_options, new_pipeline
from earmark.schemas.manifest import ManifestShape
from earmark.transforms.counters import Counters
from earmark.transforms.output.store import OutputStore
from earmark.transforms.read_manifest import ReadManifest
from earmark.transforms.skip_annotated import SkipAnnotated
from tests.support.jobs import write_manifest

ROWS = 100_000


@pytest.mark.slow
def test_many_rows_pass_through_several_threads_undamaged(tmp_path):
    rows = [{"id": f"{number:07d}", "audio_filepath": "/a/path/of/some/length/tone.wav"} for number in range(ROWS)]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    store, counters = OutputStore(str(tmp_path / "out")), Counters("many-rows")
    store.create("parts.txt", b"")
    with new_pipeline(embedded_options(["--direct_num_workers=2"])) as pipeline:
        manifest_rows = pipeline | ReadManifest([str(manifest)], ManifestShape(), 0, store, 1.0, counters)
        _ = manifest_rows.recordings | SkipAnnotated(store, "parts.txt", False, counters)
    assert counters.here()["to_do"] == ROWS
