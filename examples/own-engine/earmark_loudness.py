"""An example engine: `--model loudness:-30` measures the level of a recording and compares it with -30 dBFS."""

from collections.abc import Sequence

import numpy as np

from earmark import Answers, Clip, JobError, JobOptions, LabelAnswer, LabelScore, RowError, Task, TextAnswer


class Loudness:
    """Answers text tasks with the level, and tasks of two labels with the first label below the limit."""

    def __init__(self, argument: str, options: JobOptions):
        self._limit_dbfs = float(argument or -30)

    @staticmethod
    def check(argument: str, options: JobOptions, tasks: Sequence[Task]) -> Sequence[Task]:
        for task in tasks:
            if task.answer != "text" and len(task.labels) != 2:
                raise JobError(f"loudness answers tasks of text or of two labels, not {task.name}")
        return tasks

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        return [self._annotate_clip(clip.samples, tasks) for clip in clips]

    def _annotate_clip(self, samples: np.ndarray, tasks: Sequence[Task]) -> Answers | RowError:
        if not samples.any():
            return RowError("silent", "the recording is digital silence, which has no level; check the file")
        level_dbfs = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))
        return {task.name: self._answer(task, level_dbfs) for task in tasks}

    def _answer(self, task: Task, level_dbfs: float) -> TextAnswer | LabelAnswer:
        if task.answer == "text":
            return TextAnswer(f"{level_dbfs:.1f} dBFS", task.question, None)
        chosen = int(level_dbfs >= self._limit_dbfs)
        scores = tuple(LabelScore(label, float(index == chosen)) for index, label in enumerate(task.labels))
        return LabelAnswer(task.labels[chosen], 1.0, scores, None)
