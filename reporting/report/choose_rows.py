"""Which rows of an output a report shows: those worth a look first, and a sample drawn evenly of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from earmark.reporting.report.figures import flags_of, least_confidences
from earmark.schemas.records import stable_hash
from earmark.scoring.answers import AnsweredTask

SEED = "earmark report"  # of the sample: the same rows of the same output, however its parts are cut
Reason = Literal["far from its reference", "flagged", "least confident", "random"]


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """Row `row` of the part at place `part` of the listing, and why it is shown.

    Attributes:
        confidence: of its least certain answer; NaN where none is known.
        draw: its place in the random order of all rows, from 0 to 1.
    """

    part: int
    row: int
    reason: Reason
    flags: int
    confidence: float
    draw: float


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows column by column, each of shape (rows,)."""

    part: np.ndarray
    row: np.ndarray
    flags: np.ndarray
    confidence: np.ndarray
    draw: np.ndarray
    wanted: np.ndarray

    def taken(self, which: np.ndarray) -> "_Rows":
        return _Rows(*(getattr(self, name)[which] for name in self.__slots__))

    def with_more(self, more: "_Rows") -> "_Rows":
        return _Rows(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))

    def by_need(self) -> np.ndarray:
        """The order in which a person should look at them; not known counts as certain."""
        return np.lexsort((self.draw, np.nan_to_num(self.confidence, nan=1.0), -self.flags, ~self.wanted))


class RowChooser:
    """Sees every part and keeps `count` rows: half of them the neediest, the rest a random sample.

    `wanted`: ids that are shown in any case, before all others.
    """

    def __init__(self, tasks: Sequence[AnsweredTask], count: int, wanted: Sequence[str] = ()):
        self._tasks, self._count, self._wanted = tasks, count, frozenset(wanted)
        self._parts = 0
        none = np.zeros(0, np.int64)
        self._needy = self._random = _Rows(none, none, none, none.astype(float), none.astype(float), none.astype(bool))

    def add(self, part: pa.Table) -> None:
        """Takes the next part in; it has the columns of report_figures.columns_of(tasks)."""
        ids = part["id"].to_pylist()
        rows = _Rows(
            np.full(len(ids), self._parts),
            np.arange(len(ids)),
            flags_of(part, self._tasks),
            least_confidences(part, self._tasks),
            np.array([_draw(id) for id in ids]),
            np.array([id in self._wanted for id in ids], bool),
        )
        self._parts += 1
        needy, random = self._needy.with_more(rows), self._random.with_more(rows)
        self._needy = needy.taken(needy.by_need()[: self._count])
        self._random = random.taken(np.argsort(random.draw, kind="stable")[: self._count])

    def chosen(self) -> list[ChosenRow]:
        """The neediest first, the random ones in order of need too."""
        half = max(self._count - self._count // 2, int(self._needy.wanted.sum()))
        needy = self._needy.taken(np.arange(min(half, self._count, len(self._needy.part))))
        there = set(zip(needy.part.tolist(), needy.row.tolist(), strict=True))
        places = zip(self._random.part.tolist(), self._random.row.tolist(), strict=True)
        others = [number for number, place in enumerate(places) if place not in there][: self._count - len(there)]
        random = self._random.taken(np.array(others, np.int64))
        return [*_listed(needy), *_listed(random.taken(random.by_need()), "random")]


def _listed(rows: _Rows, reason: Reason | None = None) -> list[ChosenRow]:
    columns = (rows.part, rows.row, rows.flags, rows.confidence, rows.draw, rows.wanted)
    return [
        ChosenRow(part, row, reason or _reason(wanted, flags), flags, confidence, draw)
        for part, row, flags, confidence, draw, wanted in zip(*(one.tolist() for one in columns), strict=True)
    ]


def _reason(wanted: bool, flags: int) -> Reason:
    if wanted:
        return "far from its reference"
    return "flagged" if flags else "least confident"


def _draw(id: str) -> float:
    return int(stable_hash(SEED, id)[:13], 16) / 16**13
