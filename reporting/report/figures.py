"""Totals and distributions over all rows of an output, counted part by part; only the counts are in memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earmark.schemas.records import Failure
from earmark.scoring.answers import AnsweredTask

FACTS = ("duration_s", "speech_ratio", "rms_dbfs", "snr_db", "bandwidth_hz")
MAX_VALUES = 10_000  # distinct values that are counted: a model that writes labels freely may never repeat one
OTHERS = "(others)"
SHARE = tuple(np.linspace(0, 1, 21))


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of a distribution.

    Attributes:
        edges: Bounds of the bars; a value beyond the first or last edge counts in the outermost bar.
        log: Whether the axis is logarithmic.
        whole: Whether the plot spans all edges, and not only the range that has rows.
    """

    title: str
    unit: str
    edges: tuple[float, ...]
    log: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of a number over the rows.

    Attributes:
        counts: Rows in each bar, one fewer than edges.
        rows: Number of rows that have the number.
        mean: Mean over these rows; None for no rows, like `low` and `high`.
        low: Least value.
        high: Greatest value.
    """

    scale: Scale
    counts: tuple[int, ...]
    rows: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Shares:
    """Values of a column.

    Attributes:
        counts: Pairs of a value and the number of its rows, most frequent first.
    """

    title: str
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Recordings that failed for the same reason.

    Attributes:
        examples: The first few failures by id.
    """

    stage: str
    error: str
    count: int
    examples: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals and distributions over all rows.

    Attributes:
        flagged: Number of rows with a flag on any answer.
    """

    annotated: int
    audio_s: float
    flagged: int
    distributions: tuple[Distribution, ...]
    shares: tuple[Shares, ...]


Values = Callable[[pa.Table], np.ndarray]  # float64 of shape (rows,), NaN where a row has no value


class FigureCounter:
    """Counts the parts of an output that answers `tasks`."""

    def __init__(self, tasks: Sequence[AnsweredTask]):
        self._tasks = tasks
        self._tallies = [_Tally(scale, values) for scale, values in _measures(tasks)]
        self._shares: dict[str, tuple[Callable[[pa.Table], pa.ChunkedArray], Counter[str]]] = {}
        for task in tasks:
            fields = task.answer_kind.short_fields
            if "language" in fields:
                self._shares[f"{task.name}: language"] = _field(task.name, "language"), Counter()
            if "label" in fields:
                self._shares[task.name] = _field(task.name, "label"), Counter()
            if "flags" in fields:
                self._shares[f"{task.name}: flags"] = _flags(task.name), Counter()
        self._annotated = self._flagged = 0
        self._audio_s = 0.0

    def add(self, part: pa.Table) -> None:
        """Count the rows of a part, which has the columns of `columns_of(tasks)`."""
        self._annotated += part.num_rows
        self._flagged += int((flags_of(part, self._tasks) > 0).sum())
        self._audio_s += float(np.nansum(_numbers("audio", "duration_s")(part)))
        for tally in self._tallies:
            tally.add(part)
        for values, counts in self._shares.values():
            for entry in pc.value_counts(values(part).combine_chunks()).to_pylist():
                if entry["values"] is not None:
                    has_room = entry["values"] in counts or len(counts) < MAX_VALUES
                    counts[entry["values"] if has_room else OTHERS] += entry["counts"]

    def figures(self) -> Figures:
        return Figures(
            self._annotated,
            self._audio_s,
            self._flagged,
            tuple(tally.distribution() for tally in self._tallies),
            tuple(
                Shares(title, tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))))
                for title, (_, counts) in self._shares.items()
            ),
        )


def columns_of(tasks: Sequence[AnsweredTask]) -> list[str]:
    """The columns of a part that the figures need."""
    return ["id", *(f"audio.{fact}" for fact in FACTS)] + [
        f"{task.name}.{field}" for task in tasks for field in task.answer_kind.short_fields
    ]


def confidences(part: pa.Table, task: AnsweredTask) -> np.ndarray:
    """Confidence of each answer, from 0 to 1: float64 of shape (rows,), NaN where the model gave no likelihood.

    The score of a label, or the mean token probability of a text (the exponential of avg_logprob).
    """
    logprob = np.exp(_numbers(task.name, "avg_logprob")(part))
    if "score" not in task.answer_kind.short_fields:
        return logprob
    score = _numbers(task.name, "score")(part)
    return np.where(np.isnan(score), logprob, score)


def least_confidences(part: pa.Table, tasks: Sequence[AnsweredTask]) -> np.ndarray:
    """The confidence of each row's least certain answer; NaN where no answer has one."""
    least = np.full(part.num_rows, np.nan)
    for task in tasks:
        least = np.fmin(least, confidences(part, task))
    return least


def flags_of(part: pa.Table, tasks: Sequence[AnsweredTask]) -> np.ndarray:
    """Number of flags on the answers of each row, int64 of shape (rows,)."""
    flags = np.zeros(part.num_rows, np.int64)
    for task in tasks:
        if "flags" in task.answer_kind.short_fields:
            lengths = pc.list_value_length(pc.struct_field(part[task.name], "flags"))
            flags += np.asarray(pc.fill_null(lengths, 0)).astype(np.int64)
    return flags


class _Tally:
    """Counts the distribution of one number."""

    def __init__(self, scale: Scale, values: Values):
        self._scale, self._values = scale, values
        self._counts = np.zeros(len(scale.edges) - 1, np.int64)
        self._rows = 0
        self._total, self._low, self._high = 0.0, np.inf, -np.inf

    def add(self, part: pa.Table) -> None:
        values = self._values(part)
        values = values[np.isfinite(values)]
        if values.size:
            edges = self._scale.edges
            self._counts += np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
            self._rows += values.size
            self._total += float(values.sum())
            self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))

    def distribution(self) -> Distribution:
        counts = tuple(self._counts.tolist())
        if not self._rows:
            return Distribution(self._scale, counts, 0, None, None, None)
        return Distribution(self._scale, counts, self._rows, self._total / self._rows, self._low, self._high)


def _measures(tasks: Sequence[AnsweredTask]) -> list[tuple[Scale, Values]]:
    measures: list[tuple[Scale, Values]] = [
        # 0.1 s to beyond the 4 hours of --max_duration_s; ten bars per power of ten
        (Scale("Duration", "s", tuple(np.geomspace(0.1, 1e5, 61)), log=True), _numbers("audio", "duration_s")),
        (Scale("Speech ratio", "", SHARE, whole=True), _numbers("audio", "speech_ratio")),
        (Scale("Loudness (RMS)", "dBFS", tuple(np.arange(-100.0, 1, 2))), _numbers("audio", "rms_dbfs")),
        (Scale("Signal-to-noise ratio", "dB", tuple(np.arange(-20.0, 103, 3))), _numbers("audio", "snr_db")),
        (Scale("Bandwidth", "Hz", tuple(np.linspace(0, 8000, 33))), _numbers("audio", "bandwidth_hz")),
    ]
    for task in tasks:
        if task.answer_kind.needs_speech:
            scale = Scale(f"{task.name}: characters per second", "characters/s", tuple(np.arange(0.0, 41)))
            measures.append((scale, _pace(task.name)))
        measures.append((Scale(f"{task.name}: confidence", "", SHARE, whole=True), _confidences(task)))
    return measures


def _field(column: str, name: str) -> Callable[[pa.Table], pa.ChunkedArray]:
    return lambda part: pc.struct_field(part[column], name)


def _flags(column: str) -> Callable[[pa.Table], pa.ChunkedArray]:
    return lambda part: pc.list_flatten(pc.struct_field(part[column], "flags"))


def _numbers(column: str, name: str) -> Values:
    return lambda part: np.asarray(pc.cast(pc.struct_field(part[column], name), pa.float64()), np.float64)


def _confidences(task: AnsweredTask) -> Values:
    return lambda part: confidences(part, task)


def _pace(column: str) -> Values:
    """Characters per second of audio; NaN for an empty recording."""

    def values(part: pa.Table) -> np.ndarray:
        lengths = pc.cast(pc.utf8_length(pc.struct_field(part[column], "text")), pa.float64())
        seconds = _numbers("audio", "duration_s")(part)
        return np.asarray(lengths, np.float64) / np.where(seconds > 0, seconds, np.nan)

    return values
