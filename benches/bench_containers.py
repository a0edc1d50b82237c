"""Reading audio from a tar and from a Parquet file, compared with the same audio in single files, on a local disk.

    python -m benches.bench_containers [ROUNDS [RECORDINGS]]

Prints JSON with the time to read the rows, and the time to unpack and decode a shard in this process relative to single
files, by the clock and in CPU time. The sources take turns, and the fastest round of each counts.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.transforms.audio.decode_recordings import DecodeRequest, decode_requests
from earmark.transforms.containers.unpack_containers import unpack_containers, unpack_requests
from tests.support.audio.containers import read_rows, samples_of, write_audio_parquet, write_tar
from tests.support.jobs import write_manifest

ROUNDS = 7
RECORDINGS = 256  # size of a shard
SECONDS = 5.0


def make_sources(folder: Path, recordings: int) -> dict[str, Path]:
    noise = np.random.default_rng(0)
    rows = []
    for number in range(recordings):
        path = folder / f"{number:04d}.flac"
        times = np.arange(round(SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        samples = 0.3 * np.sin(2 * np.pi * 440 * times) + 0.02 * noise.standard_normal(len(times))
        soundfile.write(path, samples.astype(np.float32), SAMPLE_RATE_HZ)
        rows.append({"id": f"{number:04d}", "audio_filepath": str(path), "text": ""})
    return {
        "files": write_manifest(folder / "m.jsonl", rows),
        "tar": write_tar(folder / "a.tar", samples_of(rows)),
        "parquet": write_audio_parquet(folder / "a.parquet", rows, group_rows=100),
    }


def decode(recordings: list[Recording], scratch: str) -> None:
    paths: dict[int, str] = {}
    requests = unpack_requests(recordings, scratch)
    for request, files in zip(requests, unpack_containers(requests), strict=True):
        assert isinstance(files, list)
        paths |= zip(request.indices, map(str, files), strict=True)
    audio_requests = [
        DecodeRequest(r, 3600.0, 300.0, 2**30, scratch, paths.get(i, "")) for i, r in enumerate(recordings)
    ]
    for audio in decode_requests(audio_requests):
        assert audio.facts.duration_s == SECONDS  # type: ignore[union-attr]


def main(rounds: int, recordings: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        sources = make_sources(Path(name), recordings)
        read_s: dict[str, list[float]] = {source: [] for source in sources}
        decode_s: dict[str, list[float]] = {source: [] for source in sources}
        cpu_s: dict[str, list[float]] = {source: [] for source in sources}
        for _ in range(rounds):
            for source, manifest in sources.items():
                began = time.perf_counter()
                rows = [row for row in read_rows(manifest) if isinstance(row, Recording)]
                middle = time.perf_counter()
                with tempfile.TemporaryDirectory(dir=name) as scratch:
                    cpu_began = time.process_time()
                    decode(rows, scratch)
                    ended, cpu_ended = time.perf_counter(), time.process_time()
                assert len(rows) == recordings
                read_s[source].append(middle - began)
                decode_s[source].append(ended - middle)
                cpu_s[source].append(cpu_ended - cpu_began)
    best = {source: min(times) for source, times in decode_s.items()}
    cpu = {source: min(times) for source, times in cpu_s.items()}
    print(
        json.dumps(
            {
                "recordings": recordings,
                "rounds": rounds,
                "recordings_per_s": {source: round(recordings / seconds) for source, seconds in best.items()},
                "times_of_files": {source: round(seconds / best["files"], 3) for source, seconds in best.items()},
                "times_of_files_cpu": {source: round(seconds / cpu["files"], 3) for source, seconds in cpu.items()},
                "read_rows_ms": {source: round(1000 * min(times), 1) for source, times in read_s.items()},
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS, int(sys.argv[2]) if len(sys.argv) > 2 else RECORDINGS)
