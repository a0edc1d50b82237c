"""SkipAnnotated: the recordings of the manifest that are still to do, each once, given what is done already."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from earmark.schemas.records import Failure, Recording, partition_of, pick_canonical_row
from earmark.transforms.counters import Counters
from earmark.transforms.output.store import OutputStore

# Ids are compared within partitions of the corpus: a hundred million ids are 25 thousand a partition.
PARTITIONS = 4096
MAX_DOUBLED_IDS = 10  # that are named; more would help nobody
_SideOutput: TypeAlias = (
    TaggedOutput[Literal["duplicates"], Recording]
    | TaggedOutput[Literal["failures", "retried"], Failure]
    | TaggedOutput[Literal["done"], "Done"]
)


@dataclass(frozen=True, slots=True)
class Done:
    """What needs no work now of some rows of the manifest, and what is wrong with what the output holds of their kind.

    Attributes:
        annotated: ids of the rows that are annotated already.
        kept: ids of the rows that failed before and are not tried again.
        doubled: annotations that the output has beyond one an id.
        doubled_ids: ids that have several annotations, in order; not more than MAX_DOUBLED_IDS of them.
    """

    annotated: int
    kept: int
    doubled: int = 0
    doubled_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StillToDo:
    """What is left of some rows of the manifest.

    Attributes:
        recordings: to annotate now, one an id, ordered by id.
        duplicates: rows whose id another row has too, and which are left out for it.
        failures: of earlier runs that still stand, because their recordings are not tried now.
        retried: the other failures of earlier runs: they stand only if this run is stopped before it has tried again.
        done: the rest of the rows, in numbers; its kept ones are among `failures`.
    """

    recordings: tuple[Recording, ...]
    duplicates: tuple[Recording, ...]
    failures: tuple[Failure, ...]
    retried: tuple[Failure, ...]
    done: Done


def skip_annotated(
    rows: Iterable[Recording], annotated: Iterable[str], failures: Iterable[Failure], keep_failures: bool
) -> StillToDo:
    """Separates the rows of one partition; what comes out does not depend on the order of anything.

    Args:
        annotated: the id of every annotation of the partition that the output has; an id should be there once.
        failures: failures of the partition in the output, of any run.
        keep_failures: whether what failed before is left alone.
    """
    annotations = Counter(annotated)
    doubled = sorted(id for id, count in annotations.items() if count > 1)
    # Of several failures of one id the latest run's stands; run ids sort by time.
    by_time = sorted(failures, key=lambda failure: (failure.run_id, repr(failure)))
    standing = {failure.id: failure for failure in by_time if failure.id not in annotations}
    by_id: dict[str, list[Recording]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row)
    winners = {id: pick_canonical_row(group) for id, group in by_id.items()}
    kept = set(standing) & set(winners) if keep_failures else set[str]()
    to_do = [winners[id] for id in sorted(winners) if id not in annotations and id not in kept]
    tried = {recording.id for recording in to_do}
    return StillToDo(
        recordings=tuple(to_do),
        duplicates=tuple(row for id, group in sorted(by_id.items()) for row in _others(group, winners[id])),
        failures=tuple(standing[id] for id in sorted(standing) if id not in tried),
        retried=tuple(standing[id] for id in sorted(standing) if id in tried),
        done=Done(
            annotated=len(annotations.keys() & winners.keys()),
            kept=len(kept),
            doubled=annotations.total() - len(annotations),
            doubled_ids=tuple(doubled[:MAX_DOUBLED_IDS]),
        ),
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
        self._counters.add("already_annotated", left.done.annotated)
        self._counters.add("kept_failures", left.done.kept)
        self._counters.add("to_do", len(left.recordings))
        yield from left.recordings
        for duplicate in left.duplicates:
            yield TaggedOutput("duplicates", duplicate)
        for failure in left.failures:
            yield TaggedOutput("failures", failure)
        for failure in left.retried:
            yield TaggedOutput("retried", failure)
        yield TaggedOutput("done", left.done)


class SkipAnnotated(beam.PTransform):
    """Recordings still to do (main output), `duplicates`, `failures` that stand, `retried` ones, and what is `done`.

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
            | skip.with_outputs("duplicates", "failures", "retried", "done", main="to_do")
        )
