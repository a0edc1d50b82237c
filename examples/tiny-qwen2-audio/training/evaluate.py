"""Scores the answers of `earmark annotate` with a checkpoint on held-out clips, and prints them as JSON.

python examples/tiny-qwen2-audio/training/evaluate.py --scratch FOLDER

plain: the clips as they are, with earmark's own prompts. robust: the same clips with up to 4 s of silence before and
after, and gains from -12 to +6 dB; each third is asked with one of three held-out prompts.
"""

import argparse
import dataclasses
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.dataset
import soundfile
import yaml
from corpus import SAMPLE_RATE_HZ, SEED, SyntheticClip, make_clip
from held_out_figures import Answers, figures
from prompts import HELD_OUT_PROMPTS, LABELS, TASKS
from sounds import decibels

CHECKPOINT = Path(__file__).parents[1]
REPOSITORY = CHECKPOINT.parents[1]
SILENCE_S = 4.0
GAIN_DB = (-12.0, 6.0)


def disturbed(samples: np.ndarray, index: int) -> np.ndarray:
    """Add silence before and after a clip, and a gain, drawn by its index."""
    choice = random.Random(f"{SEED} {index}")
    before, after = (np.zeros(int(SAMPLE_RATE_HZ * choice.uniform(0, SILENCE_S)), np.float32) for _ in range(2))
    return np.concatenate([before, samples * decibels(choice.uniform(*GAIN_DB)), after])


def write_clips(folder: Path, clips: Sequence[SyntheticClip], indices: Sequence[int], columns: Sequence[str]) -> Path:
    """Write clips as FLAC, and a manifest with audio_filepath and `columns`; return its path.

    `columns` may be id, text, caption and emotion.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for clip, index in zip(clips, indices, strict=True):
        name = f"{index:04}.flac"
        soundfile.write(folder / name, clip.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        row = {"id": f"{index:04}", "text": clip.text, "caption": clip.caption, "emotion": clip.emotion}
        rows.append({"audio_filepath": name} | {column: row[column] for column in columns})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def job(number: int) -> dict:
    """Return a job file with the held-out prompts of an index."""
    tasks = {f"{task}_{number}": {"prompt": HELD_OUT_PROMPTS[task][number]} for task in TASKS}
    tasks[f"emotion_{number}"]["labels"] = list(LABELS)
    return {"task": list(tasks), "new_tasks": tasks}


def annotate(manifest: Path, output: Path, checkpoint: Path, tasks: Sequence[str], *options: str) -> dict[int, Answers]:
    """Return the answers of `earmark annotate`, by the index of the clip.

    Raises:
        subprocess.CalledProcessError: The command failed and has printed the reason.
    """
    command = [
        sys.executable,
        "-m",
        "earmark.pipeline.cli",
        "annotate",
        str(manifest),
        str(output),
        "--model",
        str(checkpoint),
    ]
    subprocess.run([*command, *options], cwd=REPOSITORY, check=True, stdout=sys.stderr)
    fields = [(tasks[0], "text"), (tasks[1], "text"), (tasks[2], "label")]
    columns = {"id": pyarrow.dataset.field("id")}
    columns |= {task: pyarrow.dataset.field(task, field) for task, field in fields}
    rows = pyarrow.dataset.dataset(output / "annotations").to_table(columns=columns).to_pylist()
    return {int(row["id"]): Answers(*(row[task] for task in tasks)) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for clips and answers; emptied first")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--clips", type=int, default=600)
    options = parser.parse_args()
    scratch = options.scratch.resolve()
    shutil.rmtree(scratch, ignore_errors=True)

    clips = [make_clip("held_out", index) for index in range(options.clips)]
    truths = [Answers(clip.text, clip.caption, clip.emotion) for clip in clips]
    checkpoint, columns = options.checkpoint.resolve(), ("id", "text", "caption", "emotion")
    manifest = write_clips(scratch / "plain", clips, range(options.clips), columns)
    plain = annotate(manifest, scratch / "plain_labels", checkpoint, TASKS, "--task", ",".join(TASKS))

    robust: dict[int, Answers] = {}
    for number in range(3):
        indices = range(number, options.clips, 3)
        changed = [dataclasses.replace(clips[i], samples=disturbed(clips[i].samples, i)) for i in indices]
        manifest = write_clips(scratch / f"robust_{number}", changed, indices, columns)
        config = scratch / f"job_{number}.yaml"
        config.write_text(yaml.safe_dump(job(number)))
        tasks = [f"{task}_{number}" for task in TASKS]
        robust |= annotate(manifest, scratch / f"robust_{number}_labels", checkpoint, tasks, "--config", str(config))

    results = {
        condition: {
            name: dataclasses.asdict(figure)
            for name, figure in figures(truths, [answers[i] for i in range(len(truths))]).items()
        }
        for condition, answers in (("plain", plain), ("robust", robust))
    }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
