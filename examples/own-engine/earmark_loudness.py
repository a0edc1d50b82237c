"""An engine of one's own: `--model loudness:-30` says how loud a recording is, and which side of -30 dBFS it is on."""

import numpy as np

from earmark.schemas.errors import JobError, RowError
from earmark.schemas.records import LabelAnswer, LabelScore, TextAnswer


class Loudness:
    """Answers tasks of text with the level, and those of two labels with the first where it is below the argument."""

    def __init__(self, argument, options):
        self._limit_dbfs = float(argument or -30)

    @staticmethod
    def check(argument, options, tasks):
        for task in tasks:
            if task.answer != "text" and len(task.labels) != 2:
                raise JobError(f"loudness answers tasks of text or of two labels, not {task.name}")
        return tasks

    def annotate(self, clips, tasks):
        return [self._listen(clip.samples, tasks) for clip in clips]

    def _listen(self, samples, tasks):
        if not samples.any():
            return RowError("silent", "there is no sound, so it has no level; look at the recording")
        level_dbfs = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))
        return {task.name: self._answer(task, level_dbfs) for task in tasks}

    def _answer(self, task, level_dbfs):
        if task.answer == "text":
            return TextAnswer(f"{level_dbfs:.1f} dBFS", task.question, None)
        chosen = int(level_dbfs >= self._limit_dbfs)
        scores = tuple(LabelScore(label, float(index == chosen)) for index, label in enumerate(task.labels))
        return LabelAnswer(task.labels[chosen], 1.0, scores, None)
