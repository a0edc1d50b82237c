"""SkipAnnotated: the recordings of the manifest that are still to do, each once, given what is done already."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import Failure, Recording, partition_of, winner
from transforms.counters import Counters
from transforms.output_store import OutputStore

# Ids are compared within partitions of the corpus: a hundred million ids are 25 thousand a partition.
PARTITIONS = 4096
_SideOutput: TypeAlias = (
    TaggedOutput[Literal["duplicates"], Recording]
    | TaggedOutput[Literal["failures"], Failure]
    | TaggedOutput[Literal["done"], tuple[int, int]]
)


@dataclass(frozen=True, slots=True)
class StillToDo:
    """What is left of some rows of the manifest.

    Attributes:
        recordings: to annotate now, one an id, ordered by id.
        duplicates: rows whose id another row has too, and which are left out for it.
        annotated: how many ids are done already.
        failures: of earlier runs that still stand, because their recordings are not tried now.
        kept: how many of `failures` are of ids in these rows.
    """

    recordings: tuple[Recording, ...]
    duplicates: tuple[Recording, ...]
    annotated: int
    failures: tuple[Failure, ...]
    kept: int


def skip_annotated(
    rows: Iterable[Recording], annotated: Iterable[str], failures: Iterable[Failure], keep_failures: bool
) -> StillToDo:
    """Separates the rows of one partition; what comes out does not depend on the order of anything.

    Args:
        annotated: ids of the partition that the output has annotations for.
        failures: failures of the partition in the output, of any run.
        keep_failures: whether what failed before is left alone.
    """
    done = set(annotated)
    # Of several failures of one id the latest run's stands; run ids sort by time.
    by_time = sorted(failures, key=lambda failure: (failure.run_id, repr(failure)))
    standing = {failure.id: failure for failure in by_time if failure.id not in done}
    by_id: dict[str, list[Recording]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row)
    winners = {id: winner(group) for id, group in by_id.items()}
    kept = set(standing) & set(winners) if keep_failures else set[str]()
    to_do = [winners[id] for id in sorted(winners) if id not in done and id not in kept]
    tried = {recording.id for recording in to_do}
    return StillToDo(
        recordings=tuple(to_do),
        duplicates=tuple(row for id, group in sorted(by_id.items()) for row in _others(group, winners[id])),
        annotated=len(done & set(winners)),
        failures=tuple(standing[id] for id in sorted(standing) if id not in tried),
        kept=len(kept),
    )


def _others(group: list[Recording], chosen: Recording) -> list[Recording]:
    """The group without one copy of the chosen row, in an order of their own."""
    others = list(group)
    others.remove(chosen)
    return sorted(others, key=repr)


@beam.typehints.with_input_types(str)
@beam.typehints.with_output_types(tuple[int, str])
class _ReadParts(beam.DoFn):
    def __init__(self, store: OutputStore):
        self._store = store

    def process(self, part: str) -> Iterator[tuple[int, str] | TaggedOutput[Literal["failures"], tuple[int, Failure]]]:
        ids, report = self._store.read_part(part)
        for id in ids:
            yield partition_of(id, PARTITIONS), id
        for failure in report.failures:
            yield TaggedOutput("failures", (partition_of(failure.id, PARTITIONS), failure))


@beam.typehints.with_output_types(Recording)
class _SkipPartition(beam.DoFn):
    def __init__(self, keep_failures: bool, counters: Counters):
        self._keep_failures, self._counters = keep_failures, counters

    def process(self, group: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[Recording | _SideOutput]:
        _, members = group
        left = skip_annotated(
            members["rows"],
            members["annotated"],
            members["failures"],
            self._keep_failures,
        )
        self._counters.add("already_annotated", left.annotated)
        self._counters.add("kept_failures", left.kept)
        self._counters.add("to_do", len(left.recordings))
        yield from left.recordings
        for duplicate in left.duplicates:
            yield TaggedOutput("duplicates", duplicate)
        for failure in left.failures:
            yield TaggedOutput("failures", failure)
        yield TaggedOutput("done", (left.annotated, left.kept))


class SkipAnnotated(beam.PTransform):
    """Recordings still to do (main output), `duplicates`, `failures` that still stand, and counts of what is `done`.

    What the output holds is read from `snapshot`, the list of parts that was written down when the run was launched,
    never from a fresh listing: whatever a runner starts over, the same recordings come out.
    """

    def __init__(self, store: OutputStore, snapshot: str, keep_failures: bool, counters: Counters):
        super().__init__()
        self._store, self._snapshot = store, snapshot
        self._keep_failures, self._counters = keep_failures, counters

    def expand(self, recordings: beam.PCollection) -> Any:
        store = self._store
        parts = (
            recordings.pipeline
            | beam.Create([self._snapshot])
            | "ReadSnapshot" >> beam.FlatMap(lambda path: store.read(path).decode().splitlines())
            | beam.Reshuffle()
            | "ReadParts" >> beam.ParDo(_ReadParts(store)).with_outputs("failures", main="annotated")
        )
        keyed = recordings | "KeyRows" >> beam.Map(lambda row: (partition_of(row.id, PARTITIONS), row))
        skip = beam.ParDo(_SkipPartition(self._keep_failures, self._counters))
        return (
            {"rows": keyed, "annotated": parts.annotated, "failures": parts.failures}
            | beam.CoGroupByKey()
            | skip.with_outputs("duplicates", "failures", "done", main="to_do")
        )
