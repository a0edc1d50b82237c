"""What a dataset card tells of an output."""

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
    """What a card tells of an output.

    Attributes:
        name: of the output's folder.
        tasks: whose answers are in it.
        schema: of the annotations; None where no part is there.
        failures: how many recordings failed, by cause, the most frequent first.
        data: which files hold the annotations, as a pattern of paths.
        where: the condition that chose them; "" for all.
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
    """What is to be told of an output.

    Raises:
        JobError: it is no output, or a file in it is damaged.
        OSError: it cannot be read, or what was counted not written.
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
    """Whether its answers are in the language that is spoken."""
    return task.answer == "transcript" and not task.target_language


def _failures(store: OutputStore) -> tuple[tuple[str, int], ...]:
    causes = store.read_failures().column("error")
    found = [(one["values"], one["counts"]) for one in pc.value_counts(causes.combine_chunks()).to_pylist()]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))
