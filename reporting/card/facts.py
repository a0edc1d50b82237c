"""The facts about an output that its dataset card states."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from earmark.reporting.part_figures import Totals, count_parts
from earmark.reporting.provenance import Provenance, read_provenance
from earmark.schemas.job_description import AskedTask
from earmark.transforms.output.store import OutputStore


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The facts that a card states.

    Attributes:
        name: Name of the output's folder.
        license: Licence of the data, by the Hub's name.
        tasks: Tasks whose answers are in the data.
        schema: Schema of the annotations; None for an output without parts.
        failures: Pairs of cause and number of failed recordings, most frequent first.
        data: Path pattern of the files that hold the annotations.
        where: Condition that selected the rows; "" for all rows.
    """

    name: str
    license: str
    provenance: Provenance
    tasks: Sequence[AskedTask]
    totals: Totals
    schema: pa.Schema | None
    failures: tuple[tuple[str, int], ...]
    data: str = "annotations/*/*.parquet"
    where: str = ""

    @property
    def failed(self) -> int:
        return sum(count for _, count in self.failures)


def read_facts(store: OutputStore, license: str) -> CardFacts:
    """Read the facts about an output.

    Raises:
        JobError: This is not an output, or a file in it is damaged.
        OSError: The output cannot be read, or the counts cannot be stored in it.
    """
    provenance = read_provenance(store)
    speech = next((task for task in provenance.job.tasks if is_speech(task)), None)
    parts = store.parts()
    totals = count_parts(store, parts, f"{speech.name}.language" if speech else "")
    return CardFacts(
        store.root.rstrip("/").rsplit("/", 1)[-1],
        license,
        provenance,
        provenance.job.tasks,
        totals,
        store.schema(parts[0]) if parts else None,
        _failures(store),
    )


def is_speech(task: AskedTask) -> bool:
    """Whether the answers are in the spoken language."""
    return task.answer == "transcript" and not task.target_language


def _failures(store: OutputStore) -> tuple[tuple[str, int], ...]:
    causes = store.read_failures().column("error")
    counts = [(entry["values"], entry["counts"]) for entry in pc.value_counts(causes.combine_chunks()).to_pylist()]
    return tuple(sorted(counts, key=lambda pair: (-pair[1], pair[0])))
