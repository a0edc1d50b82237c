"""What all rows of an output add up to: totals and distributions. Counted part by part; what is held are the counts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earmark.schemas.records import Failure
from earmark.scoring.answers import FIELDS, AnsweredTask

FACTS = ("duration_s", "speech_ratio", "rms_dbfs", "snr_db", "bandwidth_hz")
MAX_VALUES = 10_000  # that are told apart of languages and labels: a model that writes labels freely may write anything
OTHERS = "(others)"
SHARE = tuple(np.linspace(0, 1, 21))


@dataclass(frozen=True, slots=True)
class Scale:
    """What the bars of a distribution are.

    Attributes:
        edges: of the bars; a value beyond the first or the last counts in the bar next to it.
        log: the edges are equally far apart on a logarithmic axis.
        whole: all of it is drawn, not only where rows are.
    """

    title: str
    unit: str
    edges: tuple[float, ...]
    log: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """Rows by a number.

    Attributes:
        counts: of the rows in each bar, one less than there are edges.
        rows: that have the number; `mean`, `low` and `high` are of all of them, and None where there are none.
    """

    scale: Scale
    counts: tuple[int, ...]
    rows: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Shares:
    """Values of a column with the rows that have each, most frequent first."""

    title: str
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Recordings that failed for one reason, and some of them."""

    stage: str
    error: str
    count: int
    examples: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """`flagged`: rows with a flag in an answer to any task."""

    annotated: int
    audio_s: float
    flagged: int
    distributions: tuple[Distribution, ...]
    shares: tuple[Shares, ...]


Values = Callable[[pa.Table], np.ndarray]  # float64 of shape (rows,), NaN where a row has none


class FigureCounter:
    """Counts parts of an output with answers to `tasks`."""

    def __init__(self, tasks: Sequence[AnsweredTask]):
        self._tasks = tasks
        self._tallies = [_Tally(scale, values) for scale, values in _measures(tasks)]
        self._shares: dict[str, tuple[Callable[[pa.Table], pa.ChunkedArray], Counter[str]]] = {}
        for task in tasks:
            if task.answer == "transcript":
                self._shares[f"{task.name}: language"] = _field(task.name, "language"), Counter()
            if task.answer == "label":
                self._shares[task.name] = _field(task.name, "label"), Counter()
            if "flags" in FIELDS[task.answer]:
                self._shares[f"{task.name}: flags"] = _flags(task.name), Counter()
        self._annotated = self._flagged = 0
        self._audio_s = 0.0

    def add(self, part: pa.Table) -> None:
        """Takes the rows of a part in; it has the columns of columns_of(tasks)."""
        self._annotated += part.num_rows
        self._flagged += int((flags_of(part, self._tasks) > 0).sum())
        self._audio_s += float(np.nansum(_numbers("audio", "duration_s")(part)))
        for tally in self._tallies:
            tally.add(part)
        for values, counts in self._shares.values():
            for one in pc.value_counts(values(part).combine_chunks()).to_pylist():
                if one["values"] is not None:
                    known = one["values"] in counts or len(counts) < MAX_VALUES
                    counts[one["values"] if known else OTHERS] += one["counts"]

    def figures(self) -> Figures:
        return Figures(
            self._annotated,
            self._audio_s,
            self._flagged,
            tuple(tally.distribution() for tally in self._tallies),
            tuple(
                Shares(title, tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0]))))
                for title, (_, counts) in self._shares.items()
            ),
        )


def columns_of(tasks: Sequence[AnsweredTask]) -> list[str]:
    """The columns of a part that its figures are counted from."""
    return ["id", *(f"audio.{fact}" for fact in FACTS)] + [
        f"{task.name}.{field}" for task in tasks for field in FIELDS[task.answer]
    ]


def confidences(part: pa.Table, task: AnsweredTask) -> np.ndarray:
    """How sure the model was of each answer, from 0 to 1: float64 of shape (rows,), NaN where it told no likelihood.

    Of a label its score; of a text the mean probability of a token (the exponential of avg_logprob).
    """
    logprob = np.exp(_numbers(task.name, "avg_logprob")(part))
    if task.answer != "label":
        return logprob
    score = _numbers(task.name, "score")(part)
    return np.where(np.isnan(score), logprob, score)


def least_confidences(part: pa.Table, tasks: Sequence[AnsweredTask]) -> np.ndarray:
    """The confidence of each row's least certain answer; NaN where none of them is known."""
    least = np.full(part.num_rows, np.nan)
    for task in tasks:
        least = np.fmin(least, confidences(part, task))
    return least


def flags_of(part: pa.Table, tasks: Sequence[AnsweredTask]) -> np.ndarray:
    """How many flags the answers of each row have, int64 of shape (rows,)."""
    flags = np.zeros(part.num_rows, np.int64)
    for task in tasks:
        if "flags" in FIELDS[task.answer]:
            lengths = pc.list_value_length(pc.struct_field(part[task.name], "flags"))
            flags += np.asarray(pc.fill_null(lengths, 0)).astype(np.int64)
    return flags


class _Tally:
    """Counts one number of the rows."""

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
    found: list[tuple[Scale, Values]] = [
        # 0.1 s to the 4 hours of --max_duration_s, and more; ten bars in a power of ten
        (Scale("Duration", "s", tuple(np.geomspace(0.1, 1e5, 61)), log=True), _numbers("audio", "duration_s")),
        (Scale("Share of speech", "", SHARE, whole=True), _numbers("audio", "speech_ratio")),
        (Scale("Loudness (RMS)", "dBFS", tuple(np.arange(-100.0, 1, 2))), _numbers("audio", "rms_dbfs")),
        (Scale("Speech over noise", "dB", tuple(np.arange(-20.0, 103, 3))), _numbers("audio", "snr_db")),
        (Scale("Bandwidth", "Hz", tuple(np.linspace(0, 8000, 33))), _numbers("audio", "bandwidth_hz")),
    ]
    for task in tasks:
        if task.answer == "transcript":
            scale = Scale(f"{task.name}: characters a second", "characters/s", tuple(np.arange(0.0, 41)))
            found.append((scale, _pace(task.name)))
        found.append((Scale(f"{task.name}: confidence", "", SHARE, whole=True), _confidences(task)))
    return found


def _field(column: str, name: str) -> Callable[[pa.Table], pa.ChunkedArray]:
    return lambda part: pc.struct_field(part[column], name)


def _flags(column: str) -> Callable[[pa.Table], pa.ChunkedArray]:
    return lambda part: pc.list_flatten(pc.struct_field(part[column], "flags"))


def _numbers(column: str, name: str) -> Values:
    return lambda part: np.asarray(pc.cast(pc.struct_field(part[column], name), pa.float64()), np.float64)


def _confidences(task: AnsweredTask) -> Values:
    return lambda part: confidences(part, task)


def _pace(column: str) -> Values:
    """Characters a second of audio; none of a recording without any."""

    def values(part: pa.Table) -> np.ndarray:
        lengths = pc.cast(pc.utf8_length(pc.struct_field(part[column], "text")), pa.float64())
        seconds = _numbers("audio", "duration_s")(part)
        return np.asarray(lengths, np.float64) / np.where(seconds > 0, seconds, np.nan)

    return values
