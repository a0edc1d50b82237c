"""The training clips as unscaled spectrograms in one file, synthesized once by two processes."""

import json
import multiprocessing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from corpus import SEED, SPLITS, make_clip
from log_mel import MEL_BINS, TAIL_FRAMES, frames_of, log_power


@dataclass(frozen=True, slots=True)
class Label:
    """The labels of a clip, and its frames in the file: `frames + TAIL_FRAMES` frames from `first`."""

    first: int
    frames: int
    text: str
    caption: str
    emotion: str
    words: int  # number of words; 0 for no speech


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    spectrograms: np.ndarray  # float16 [all frames, MEL_BINS]
    labels: tuple[Label, ...]

    def log_power(self, index: int) -> torch.Tensor:
        """Return the spectrogram of a clip, float16 [MEL_BINS, frames + TAIL_FRAMES]."""
        label = self.labels[index]
        return torch.from_numpy(self.spectrograms[label.first : label.first + label.frames + TAIL_FRAMES]).T


def load(folder: Path) -> TrainingSet:
    with (folder / "labels.jsonl").open() as lines:
        labels = tuple(Label(**json.loads(line)) for line in lines)
    spectrograms = np.fromfile(folder / "spectrograms.f16", np.float16).reshape(-1, MEL_BINS)
    return TrainingSet(spectrograms, labels)


def synthesize(folder: Path, clips: int) -> None:
    """Write the first `clips` clips of the training split, unless they exist; the labels are written last."""
    labels_path = folder / "labels.jsonl"
    if labels_path.exists() and len(labels_path.read_text().splitlines()) == clips:
        return
    folder.mkdir(parents=True, exist_ok=True)
    labels: list[Label] = []
    first = 0
    pool = multiprocessing.get_context("spawn").Pool(2, _one_thread)
    with pool, (folder / "spectrograms.f16").open("wb") as file:
        for spectrogram, (frames, *answers, words) in pool.imap(_clip, range(clips), chunksize=100):
            spectrogram.tofile(file)
            labels.append(Label(first, frames, *answers, words))
            first += len(spectrogram)
            if len(labels) % 5000 == 0:
                print(f"{len(labels)} of {clips} clips synthesized", flush=True)
    labels_path.write_text("".join(json.dumps(asdict(label)) + "\n" for label in labels))


def _one_thread() -> None:
    torch.set_num_threads(1)


def _clip(index: int) -> tuple[np.ndarray, tuple[int, str, str, str, int]]:
    clip = make_clip(SPLITS[0], index, SEED)
    spectrogram = log_power(clip.samples).half().T.contiguous().numpy()
    words = len(clip.text.split()) if clip.is_speech else 0
    return spectrogram, (frames_of(len(clip.samples)), clip.text, clip.caption, clip.emotion, words)
