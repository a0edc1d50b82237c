"""Counts of a run are the same in Beam's metrics, in the tally that the terminal shows, and in the output."""

import apache_beam as beam
import pytest
from rich.progress import Progress

from earmark.pipeline.graph import build_graph
from earmark.pipeline.progress import update_bar
from earmark.pipeline.runner import embedded_options
from earmark.schemas.job import JobOptions
from earmark.transforms.counters import NAMESPACE, Counters
from tests.support.jobs import annotations, fake_assignments, launched_here, write_manifest, write_tones

pytestmark = pytest.mark.model


def test_beam_s_metrics_and_the_tally_match_the_output(tmp_path):
    rows = [*write_tones(tmp_path / "audio", 6), {"id": "gone", "audio_filepath": "gone.wav"}]
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows, rows[0]])
    with launched_here(manifest, tmp_path / "out", JobOptions(), 1) as run:
        pipeline = beam.Pipeline(options=embedded_options(["--direct_num_workers=1"]))
        build_graph(pipeline, run, fake_assignments(run.options))
        result = pipeline.run()
        result.wait_until_finish()
        metrics = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(NAMESPACE))["counters"]
    counted = {metric.key.metric.name: metric.committed for metric in metrics}
    assert counted == dict(Counters(run.run_id).here())
    annotated = annotations(tmp_path / "out")
    assert (counted["manifest_rows"], counted["annotated"], counted["failed"]) == (8, len(annotated), 1)
    audio_s = sum(row["audio"]["duration_s"] for row in annotated)
    assert abs(counted["annotated_audio_ms"] - 1000 * audio_s) <= len(annotated)


def test_the_bar_shows_recordings_hours_speed_and_failures():
    progress = Progress()
    bar = progress.add_task("planning", total=None)
    counters = Counters("a-run-of-its-own")
    for name, count in {"planned_recordings": 10, "annotated": 6, "failed": 1, "annotated_audio_ms": 7_200_000}.items():
        counters.add(name, count)
    update_bar(progress, bar, counters.here(), elapsed_s=100.0)
    (task,) = progress.tasks
    assert (task.completed, task.total) == (7, 10)
    assert task.description == "2.00 h of audio, RTFx 72.0, 1 failure"
