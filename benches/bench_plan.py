"""Planning a manifest of 1,000,000 rows on one machine: `earmark plan`, and the planning stages of `earmark annotate`.

    python -m benches.bench_plan [ROWS]

Prints rows per second and peak memory, with a separate process for each. For comparison, a script reads the same
manifest with DuckDB, groups by id, hashes the ids and counts the buckets.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODES = ("plan", "annotate", "duckdb")
PARTITIONS = 4096  # of the DuckDB script


def write_rows(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for number in range(rows):
            row = {
                "audio_filepath": f"calls/2026/11/{number % 977:03d}/recording-{number:07d}.flac",
                "duration": 2.0 + number % 23,
                "text": f"the words of recording {number} as somebody wrote them down",
                "speaker": f"s{number % 5000:04d}",
            }
            file.write(json.dumps(row) + "\n")


def plan(manifest: Path, folder: Path) -> int:
    from earmark.pipeline.plan.plan import make_plan
    from earmark.schemas.job import JobOptions

    return make_plan(str(manifest), str(folder / "none"), JobOptions(), 2, sample_rows=50).recordings


def annotate(manifest: Path, folder: Path) -> int:
    """Run the stages up to the planned shards, on the in-process runner."""
    from earmark.pipeline.annotate import embedded_options, new_pipeline
    from earmark.schemas.manifest import ManifestShape
    from earmark.transforms.counters import Counters
    from earmark.transforms.output.store import OutputStore
    from earmark.transforms.pack_shards import PackShards
    from earmark.transforms.read_manifest import ReadManifest
    from earmark.transforms.skip_annotated import SkipAnnotated

    store, counters = OutputStore(str(folder)), Counters("bench")
    store.create("parts.txt", b"")
    with new_pipeline(embedded_options(["--direct_num_workers=2"])) as pipeline:
        manifest_rows = pipeline | ReadManifest([str(manifest)], ManifestShape(), 0, store, 1.0, counters)
        sorted_rows = manifest_rows.recordings | SkipAnnotated(store, "parts.txt", False, counters)
        _ = sorted_rows.pending | PackShards(256, 2, "bench", counters)
    return counters.here()["planned_recordings"]


def duckdb(manifest: Path, folder: Path) -> int:
    import duckdb

    duckdb.sql(f"SET temp_directory = '{folder}'")
    rows = duckdb.sql(f"SELECT audio_filepath AS id, any_value(duration) FROM '{manifest}' GROUP BY id")
    return sum(
        count for (count,) in rows.query("r", f"SELECT count(*) FROM r GROUP BY hash(id) % {PARTITIONS}").fetchall()
    )


def measured(mode: str, manifest: Path, folder: Path, rows: int) -> tuple[float, float]:
    """Rows per second and peak memory in GB of a separate process."""
    folder.mkdir()
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "benches.bench_plan", mode, str(manifest), str(folder)], stdout=-1)
    assert child.stdout is not None and int(child.stdout.read()) == rows
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0
    return rows / (time.perf_counter() - began), usage.ru_maxrss / 1e6


def main(rows: int) -> None:
    figures: dict[str, float] = {"rows": rows}
    with tempfile.TemporaryDirectory() as name:
        write_rows(Path(name) / "m.jsonl", rows)
        for mode in MODES:
            rate, memory_gb = measured(mode, Path(name) / "m.jsonl", Path(name) / mode, rows)
            figures |= {f"{mode}_rows_per_s": round(rate), f"{mode}_peak_gb": round(memory_gb, 2)}
    figures["duckdb_over_plan"] = round(figures["duckdb_rows_per_s"] / figures["plan_rows_per_s"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in MODES:
        print(globals()[sys.argv[1]](*map(Path, sys.argv[2:])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
