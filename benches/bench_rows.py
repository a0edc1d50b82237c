"""The overhead of earmark: 100,000 rows of one tiny file, with an engine that does no work.

    python -m benches.bench_rows [ROWS]

Prints rows per second over the whole job, compared with a loop that computes the same columns with librosa and
silero-vad and writes one Parquet file, and the peak memory of all processes of the job together.
"""

import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

# Child processes import this module again, so heavy modules are imported by the functions that need them.
LOOP_ROWS = 2000  # the loop's rate does not depend on the number of rows


def rows_per_s_of_job(folder: Path, tone: Path, rows: int) -> float:
    from tests.support.jobs import run_here, write_manifest

    manifest = write_manifest(
        folder / "m.jsonl", [{"id": f"{number:07d}", "audio_filepath": str(tone)} for number in range(rows)]
    )
    started = time.perf_counter()
    assert run_here(manifest, folder / "out").annotated == rows
    return rows / (time.perf_counter() - started)


def rows_per_s_of_loop(folder: Path, tone: Path) -> float:
    """Rows per second of a simple script that computes the same columns with the same libraries."""
    import librosa
    import pyarrow as pa
    import pyarrow.parquet as pq
    from silero_vad import get_speech_timestamps, load_silero_vad

    detector, rows = load_silero_vad(onnx=True), []
    started = time.perf_counter()
    for _ in range(LOOP_ROWS):
        samples, rate = librosa.load(tone, sr=16_000)
        speech = get_speech_timestamps(samples, detector)
        bandwidth = librosa.feature.spectral_rolloff(y=samples, sr=rate, roll_percent=0.99).mean()
        rows.append({"rms": float((samples**2).mean()), "bandwidth": float(bandwidth), "speech": len(speech)})
    pq.write_table(pa.Table.from_pylist(rows), folder / "loop.parquet")
    return LOOP_ROWS / (time.perf_counter() - started)


class PeakMemory(threading.Thread):
    """Peak memory of this process and its children together, sampled five times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        main = psutil.Process()
        while not self.ended.wait(0.2):
            total = 0
            for process in [main, *main.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.bytes = max(self.bytes, total)


def main(rows: int) -> None:
    from tests.support.jobs import write_tone

    memory = PeakMemory()
    memory.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tone = write_tone(folder / "tone.wav", seconds=0.2)
        job, loop = rows_per_s_of_job(folder, tone, rows), rows_per_s_of_loop(folder, tone)
    memory.ended.set()
    figures = {
        "rows": rows,
        "rows_per_s": round(job),
        "over_loop": round(job / loop, 2),
        "peak_memory_gb": round(memory.bytes / 1e9, 2),
        "peak_memory_of_main_process_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
