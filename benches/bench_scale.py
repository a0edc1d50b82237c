"""The gain of a second worker on a Flink cluster, compared with the gain of a second plain process.

    python -m benches.bench_scale [MINUTES]     # after `make test-flink`, which installs the cluster

Whisper tiny.en with one thread in each worker, with real decoding, timed from the first part to the last. The plain
processes decode and run the same model in a loop, without Beam, so two of them gain as much as two cores allow. Single
processes and pairs take turns, and the fastest round of each counts; with a single round, two processes appeared to
gain a factor of 2.1, more than two cores can give.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # inherited by all workers

from benches.bench_pipeline import MODEL, decode_clips, make_manifest
from earmark.model.segments.speech_detector import SpeechDetector
from earmark.pipeline.annotate import assign
from earmark.pipeline.graph import build_graph
from earmark.pipeline.launch import launched_run
from earmark.pipeline.runner import embedded_options, find_target, new_pipeline
from earmark.schemas.job import JobOptions
from earmark.schemas.manifest import ManifestShape
from earmark.transforms.read_manifest import read_manifests
from tests.support.clusters.flink_cluster import flink_cluster

SHARD_ROWS = 16
OPTIONS = JobOptions(model=(MODEL,), beam_size=1, shard_rows=SHARD_ROWS, decode_processes=1, model_threads=1)
RTFX = 5.0  # approximate speed of one thread on the phone prompts; only sets the amount of work
PLAIN_ROUNDS = 3
WORK = ("decoding_ms", "segmenting_ms", "annotating_ms")


def run_plain(manifest: str) -> None:
    """Print recordings per second of one process, from the end of the first shard to the end of the last."""
    (assignment,), _ = assign(OPTIONS, here=True)
    engine, detector = assignment.open_engine(), SpeechDetector()
    recordings = list(read_manifests([manifest], ManifestShape()))
    ends = []
    for first in range(0, len(recordings), SHARD_ROWS):
        clips = decode_clips(recordings[first : first + SHARD_ROWS], detector, tempfile.gettempdir())
        engine.annotate(clips, assignment.tasks)
        ends.append(time.perf_counter())
    print((len(recordings) - SHARD_ROWS) / (ends[-1] - ends[0]))


def time_plain(manifest: Path, processes: int) -> float:
    command = [sys.executable, "-m", "benches.bench_scale", "plain", str(manifest)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0]) for process in started)


def time_cluster(manifest: Path, folder: Path, workers: int) -> dict[str, Any]:
    """Recordings per second of a job, its seconds, and the share of time outside decoding, detector and model."""
    folder.mkdir()
    with flink_cluster(folder / "cluster", task_managers=workers, slots=1) as cluster:
        beam_options = embedded_options(cluster.runner_flags(workers))
        assignments, models = assign(OPTIONS, here=False)
        target = find_target(beam_options)
        with launched_run(str(manifest), str(folder / "out"), OPTIONS, models, target) as run:
            pipeline = new_pipeline(beam_options)
            build_graph(pipeline, run, assignments)
            result = pipeline.run()
            result.wait_until_finish()
        counters = {counter.key.metric.name: counter.attempted for counter in result.metrics().query()["counters"]}
    ends = sorted(part.stat().st_mtime for part in (folder / "out").glob("annotations/*/*.parquet"))
    elapsed_s = ends[-1] - ends[0]
    share = (len(ends) - 1) / len(ends)  # the first part was written before the time starts
    work_s = share * sum(counters[name] for name in WORK) / 1000
    per_s = share * counters["annotated"] / elapsed_s
    return {"recordings_per_s": per_s, "s": elapsed_s, "other_share": 1 - work_s / (workers * elapsed_s)}


def main(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        manifest_1 = make_manifest(Path(folder) / "one.jsonl", minutes * 60 * RTFX)
        manifest_2 = make_manifest(Path(folder) / "two.jsonl", 2 * minutes * 60 * RTFX)
        cluster = {
            f"cluster_{workers}": time_cluster(manifest, Path(folder) / str(workers), workers)
            for workers, manifest in ((1, manifest_1), (2, manifest_2))
        }
        short = make_manifest(Path(folder) / "short.jsonl", minutes * 60 * RTFX / 5)
        rounds = [(time_plain(short, 1), time_plain(short, 2)) for _ in range(PLAIN_ROUNDS)]
        plain = {processes: max(speeds[processes - 1] for speeds in rounds) for processes in (1, 2)}
    cluster_gain = cluster["cluster_2"]["recordings_per_s"] / cluster["cluster_1"]["recordings_per_s"]
    plain_gain = plain[2] / plain[1]
    print(
        json.dumps(
            {
                **cluster,
                "plain_1": plain[1],
                "plain_2": plain[2],
                "cluster_gain": cluster_gain,
                "plain_gain": plain_gain,
                "ratio": cluster_gain / plain_gain,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    run_plain(sys.argv[2]) if sys.argv[1:2] == ["plain"] else main(float(sys.argv[1]) if sys.argv[1:] else 5.0)
