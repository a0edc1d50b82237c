"""`earmark annotate` on a GPU with the 7B shape of Qwen2-Audio, compared with the bare engine in this process.

    python -m benches.bench_annotate_7b [RECORDINGS [small|7b]]

Noise with the durations of Common Voice's recordings, random weights in bfloat16, three questions about each recording:
two with answers of 15 and 12 tokens, one with seven labels. The command reads, decodes, detects speech and writes, and
is timed from its first part to its last. The engine gets the same clips, decoded, in shards of the same size.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import soundfile
import torch
from transformers import AutoProcessor

from benches.bench_qwen2_audio import make_clips, make_model
from earmark.model.source import find_source, open_source
from earmark.pipeline.annotate import assign
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from earmark.schemas.tasks import new_task
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint
from tests.support.jobs import command_line

NEW_TASKS = {
    "speech": {"prompt": "Transcribe the speech word for word.", "max_new_tokens": 15},
    "scene": {"prompt": "Describe the audio in one sentence.", "max_new_tokens": 12},
}
TASKS = (*NEW_TASKS, "emotion")


def write_model(folder: Path, size: str) -> None:
    """Write a checkpoint of this shape, which the command reads like any other."""
    processor = AutoProcessor.from_pretrained(write_checkpoint(folder))
    network = make_model(processor, size)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)


def write_audio(folder: Path, recordings: int) -> list[Clip]:
    folder.mkdir()
    clips = make_clips(recordings)
    for clip in clips:
        soundfile.write(folder / f"{clip.recording.id}.flac", clip.samples, SAMPLE_RATE_HZ)
    return clips


def time_command(folder: Path) -> float:
    """Seconds of audio per second, from the first part to the last."""
    (folder / "job.yaml").write_text(json.dumps({"task": TASKS, "new_tasks": NEW_TASKS}))  # JSON is YAML
    options = ("--model", folder / "model", "--config", folder / "job.yaml")
    subprocess.run(command_line("annotate", folder / "audio", folder / "out", *options), stdout=sys.stderr, check=True)
    first, *parts = sorted((folder / "out").glob("annotations/*/*.parquet"), key=lambda part: part.stat().st_mtime)
    audio_s = sum(row["audio"]["duration_s"] for part in parts for row in pq.read_table(part).to_pylist())
    return audio_s / (parts[-1].stat().st_mtime - first.stat().st_mtime)


def time_engine(folder: Path, clips: list[Clip]) -> dict[str, float]:
    options = JobOptions(
        model=(str(folder / "model"),),
        task=TASKS,
        new_tasks=tuple(new_task(name, NEW_TASKS[name]) for name in NEW_TASKS),
    )
    (assignment,), _ = assign(options, here=True)
    began = time.perf_counter()
    engine = open_source(find_source(options.model[0]), options)
    load_s = time.perf_counter() - began
    size = options.shard_rows
    engine.annotate(clips[:size], assignment.tasks)
    began = time.perf_counter()
    for start in range(0, len(clips), size):
        engine.annotate(clips[start : start + size], assignment.tasks)
    audio_s = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE_HZ
    return {"rtfx": audio_s / (time.perf_counter() - began), "load_s": load_s, "audio_s": audio_s}


def main(recordings: int, size: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name) / "model", size)
        torch.cuda.empty_cache()
        clips = write_audio(Path(name) / "audio", recordings)
        command_rtfx = time_command(Path(name))
        engine = time_engine(Path(name), clips)
    memory_gb = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    ratio = engine["rtfx"] / command_rtfx
    print(json.dumps({"ratio": ratio, "command_rtfx": command_rtfx, "engine": engine, "gpu_memory_gb": memory_gb}))


if __name__ == "__main__":
    recordings, size = [*sys.argv[1:], *("512", "small")[len(sys.argv) - 1 :]]
    main(int(recordings), size)
