"""Select the rows that a report shows: the most suspect ones, and a uniform random sample of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from earmark.reporting.report.figures import flags_of, least_confidences
from earmark.schemas.records import stable_hash
from earmark.scoring.answers import AnsweredTask

SEED = "earmark report"  # the sample depends on the ids alone, not on how the output is cut into parts
Reason = Literal["far from its reference", "flagged", "least confident", "random"]


@dataclass(frozen=True, slots=True)
class SelectedRow:
    """A row that the report shows.

    Attributes:
        part: Index of its part in the listing.
        row: Index of the row in the part.
        flags: Number of flags on its answers.
        confidence: Confidence of its least certain answer; NaN where no model gave one.
        draw: Position in the random order of all rows, from 0 to 1.
    """

    part: int
    row: int
    reason: Reason
    flags: int
    confidence: float
    draw: float


@dataclass(frozen=True, slots=True)
class _Rows:
    """Candidate rows by column, each of shape (rows,).

    Attributes:
        pinned: Whether the row is shown in any case.
    """

    part: np.ndarray
    row: np.ndarray
    flags: np.ndarray
    confidence: np.ndarray
    draw: np.ndarray
    pinned: np.ndarray

    def take(self, which: np.ndarray) -> "_Rows":
        return _Rows(*(getattr(self, name)[which] for name in self.__slots__))

    def concat(self, more: "_Rows") -> "_Rows":
        return _Rows(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))

    def most_suspect_first(self) -> np.ndarray:
        """The order in which a person should look at the rows; an unknown confidence counts as 1."""
        return np.lexsort((self.draw, np.nan_to_num(self.confidence, nan=1.0), -self.flags, ~self.pinned))


class RowSelector:
    """Reads parts one by one and keeps `count` rows: one half are the most suspect, the other a random sample.

    Args:
        pinned_ids: Ids of rows that are shown in any case, before all others.
    """

    def __init__(self, tasks: Sequence[AnsweredTask], count: int, pinned_ids: Sequence[str] = ()):
        self._tasks, self._count, self._pinned_ids = tasks, count, frozenset(pinned_ids)
        self._parts = 0
        ints, floats = np.zeros(0, np.int64), np.zeros(0)
        self._suspect = self._random = _Rows(ints, ints, ints, floats, floats, np.zeros(0, bool))

    def add(self, part: pa.Table) -> None:
        """Add the next part, which has the columns of `figures.columns_of(tasks)`."""
        ids = part["id"].to_pylist()
        rows = _Rows(
            np.full(len(ids), self._parts),
            np.arange(len(ids)),
            flags_of(part, self._tasks),
            least_confidences(part, self._tasks),
            np.array([_draw(id) for id in ids]),
            np.array([id in self._pinned_ids for id in ids], bool),
        )
        self._parts += 1
        suspect, random = self._suspect.concat(rows), self._random.concat(rows)
        self._suspect = suspect.take(suspect.most_suspect_first()[: self._count])
        self._random = random.take(np.argsort(random.draw, kind="stable")[: self._count])

    def selected(self) -> list[SelectedRow]:
        """The most suspect rows, then the random ones; each half is sorted, most suspect first."""
        half = max(self._count - self._count // 2, int(self._suspect.pinned.sum()))
        suspect = self._suspect.take(np.arange(min(half, self._count, len(self._suspect.part))))
        keys = set(zip(suspect.part.tolist(), suspect.row.tolist(), strict=True))
        random_keys = zip(self._random.part.tolist(), self._random.row.tolist(), strict=True)
        others = [index for index, key in enumerate(random_keys) if key not in keys][: self._count - len(keys)]
        random = self._random.take(np.array(others, np.int64))
        return [*_selected(suspect), *_selected(random.take(random.most_suspect_first()), "random")]


def _selected(rows: _Rows, reason: Reason | None = None) -> list[SelectedRow]:
    columns = (rows.part, rows.row, rows.flags, rows.confidence, rows.draw, rows.pinned)
    return [
        SelectedRow(part, row, reason or _reason(pinned, flags), flags, confidence, draw)
        for part, row, flags, confidence, draw, pinned in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _reason(pinned: bool, flags: int) -> Reason:
    if pinned:
        return "far from its reference"
    return "flagged" if flags else "least confident"


def _draw(id: str) -> float:
    return int(stable_hash(SEED, id)[:13], 16) / 16**13
