"""The result of a comparison of systems."""

from collections.abc import Mapping
from dataclasses import dataclass

from earmark.scoring.ids import Ids
from earmark.scoring.pairs import Figure


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows that passed --keep: `rows` of `of`. The condition is NULL for `unknown`, as where a system failed."""

    expression: str
    to: str
    rows: int
    of: int
    unknown: int


@dataclass(frozen=True, slots=True)
class System:
    """One of the outputs.

    Attributes:
        letter: Its name in expressions and tables.
        rows: Number of recordings in the output, annotated or failed; `failed` is the number of failures.
        lacks: Recordings of other outputs that this one lacks; they are not compared.
        figures: Figures over the compared recordings that have a reference.
    """

    letter: str
    output: str
    model: str
    rows: int
    failed: int
    lacks: Ids
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of `second` minus that of `first`, with its paired 95 % interval: both use the same draws."""

    first: str
    second: str
    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two systems on the recordings that both have answered.

    Attributes:
        differing: Number of recordings whose answers differ after normalisation.
        figures: Figures of `second` with `first` as its reference; agreement and kappa for labels.
    """

    first: str
    second: str
    rows: int
    differing: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class DifferentRow:
    """A recording with different answers from the systems; a failure has no answer."""

    id: str
    badness: float
    reference: str | None
    answers: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison.

    Attributes:
        kind: Name of the measure.
        rows: Number of recordings in all outputs; only these are compared.
        with_reference: Number of recordings in `rows` with a reference, which figures and differences cover.
        no_references: Why there are no references; "" where there are some.
        kept: Result of --keep.
    """

    task: str
    kind: str
    rows: int
    with_reference: int
    no_references: str
    systems: tuple[System, ...]
    differences: tuple[Difference, ...]
    agreements: tuple[Agreement, ...]
    different: tuple[DifferentRow, ...]
    notes: tuple[str, ...]
    bootstrap: int
    seed: int
    kept: KeptRows | None = None
