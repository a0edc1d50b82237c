"""What a comparison of systems finds."""

from collections.abc import Mapping
from dataclasses import dataclass

from earmark.scoring.ids import Ids
from earmark.scoring.pairs import Figure


@dataclass(frozen=True, slots=True)
class Kept:
    """What passed: `rows` of `of`; of `unknown` the condition is neither true nor false, as with a failed system."""

    expression: str
    to: str
    rows: int
    of: int
    unknown: int


@dataclass(frozen=True, slots=True)
class System:
    """One of the outputs.

    Attributes:
        letter: what expressions and tables call it.
        rows: recordings that it annotated or failed at; failed of them.
        lacks: recordings of the others that it knows nothing of; they are not compared.
        figures: over the compared recordings that have a reference.
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
    """A figure of `second` less that of `first`, with its paired 95 % interval: both are drawn alike."""

    first: str
    second: str
    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two systems say of the recordings that both have an answer to.

    Attributes:
        figures: as if `first` were the reference of `second`; of labels, kappa too.
        differing: recordings whose answers differ, after normalisation.
    """

    first: str
    second: str
    rows: int
    differing: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class DifferentRow:
    """A recording that the systems say different things of; a failure has no answer."""

    id: str
    badness: float
    reference: str | None
    answers: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    Attributes:
        rows: recordings that all systems know; the only ones that are compared.
        with_reference: of them, those that figures and differences are of.
        no_references: why there are no references; "" where there are.
        kept: of `--keep`.
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
    kept: Kept | None = None
