"""Groups of rows: by language, duration, level, or any other column of the manifest."""

import bisect
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from earmark.schemas.errors import JobError
from earmark.schemas.tables import AUDIO
from earmark.scoring.answers import quoted

# Bounds between groups of a numeric column; each group includes its lower bound.
BOUNDS: Mapping[str, tuple[float, ...]] = {
    "duration_s": (2, 5, 10, 20, 30, 60),
    "rms_dbfs": (-60, -50, -40, -30, -20, -10),
    "peak_dbfs": (-40, -30, -20, -10, -3),
    "clipped_ratio": (1e-6, 1e-4, 1e-2),
    "speech_ratio": (0.25, 0.5, 0.75, 0.9),
    "bandwidth_hz": (2000, 3500, 4500, 6000, 7500),
    "snr_db": (0, 5, 10, 15, 20, 30),
}
MAX_GROUPS = 30  # groups of a column that are listed; the smaller ones are one group
UNKNOWN = "(not known)"


@dataclass(frozen=True, slots=True)
class GroupedBy:
    """A column that rows are grouped by.

    Attributes:
        name: Name as the user wrote it.
        expression: SQL for its value, over a row of answers `r` and a row of references `g`.
        bounds: Bounds between groups of numbers; empty where each value is a group.
    """

    name: str
    expression: str
    bounds: tuple[float, ...] = ()

    def group(self, value: str | float | None) -> str:
        """Name of the group of a value."""
        if value is None or value == "":
            return UNKNOWN
        if not self.bounds or isinstance(value, str):
            return str(value)
        at = bisect.bisect_right(self.bounds, value)
        if at == 0:
            return f"below {self.bounds[0]:g}"
        if at == len(self.bounds):
            return f"{self.bounds[-1]:g} and above"
        return f"{self.bounds[at - 1]:g} to {self.bounds[at]:g}"

    def order(self, group: str) -> tuple[int, str]:
        """Sort key of a group: by number, else by name; unknown values come last."""
        names = [self.group(bound) for bound in (-np.inf, *self.bounds)] if self.bounds else []
        return (len(names) + (group == UNKNOWN), group) if group not in names else (names.index(group), "")


def grouped_by(name: str, language: str) -> GroupedBy:
    """The column of a name: `language`, `duration`, `snr`, a field of `audio`, or another column of the manifest.

    Args:
        language: SQL for the language of a row.
    """
    if name == "language":
        return GroupedBy(name, language)
    fact = {"duration": "duration_s", "snr": "snr_db"}.get(name, name.removeprefix("audio."))
    if fact in [field.name for field in AUDIO]:
        number = pa.types.is_floating(AUDIO.field(fact).type)
        return GroupedBy(name, f"r.audio.{fact}", BOUNDS[fact] if number else ())
    if name.startswith("audio."):
        raise JobError(f"--by={name} does not work: audio has {', '.join(field.name for field in AUDIO)}")
    key = quoted(name.removeprefix("extra."))
    return GroupedBy(name, f"coalesce(r.extra[{key}], g.extra[{key}])")


class Breakdown:
    """The group of each row, by each of some columns."""

    def __init__(self, columns: Sequence[GroupedBy]):
        self._columns = [(column, dict[str, int](), array("i")) for column in columns]

    def add(self, rows: Sequence[Sequence[str | float | None]]) -> None:
        """Add rows, which have a value for each column."""
        for number, (column, codes, of_rows) in enumerate(self._columns):
            of_rows.extend(codes.setdefault(column.group(row[number]), len(codes)) for row in rows)

    def groups(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield the column, the name and the row weights (see Measure.figures) of each group.

        Raises:
            JobError: No row has a value in a column.
        """
        for column, codes, of_rows in self._columns:
            if set(codes) == {UNKNOWN} and column.name != "language":  # which may be unknown for labels
                raise JobError(f"--by={column.name} does not work: no row has a value in that column")
            rows = np.frombuffer(of_rows, np.int32)
            sizes = Counter(dict(zip(codes, np.bincount(rows, minlength=len(codes)).tolist(), strict=True)))
            large = [name for name, _ in sizes.most_common(MAX_GROUPS if len(sizes) > MAX_GROUPS + 1 else None)]
            for name in sorted(large, key=column.order):
                yield column.name, name, (rows == codes[name]).astype(np.float64)
            if small := [codes[name] for name in codes if name not in large]:
                yield column.name, f"({len(small)} others)", np.isin(rows, small).astype(np.float64)
