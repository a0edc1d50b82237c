"""SkipAnnotated: finds the recordings of the manifest that the output has no annotation for, each once."""

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
MAX_DUPLICATED_IDS = 10  # examples in the summary
_SideOutput: TypeAlias = (
    TaggedOutput[Literal["duplicates"], Recording]
    | TaggedOutput[Literal["unresolved", "retried"], Failure]
    | TaggedOutput[Literal["done"], "Done"]
)


@dataclass(frozen=True, slots=True)
class Done:
    """Counts of one partition of the manifest's ids: rows that need no work, and ids with several annotations.

    Attributes:
        annotated: Number of rows that are annotated already.
        kept_failures: Number of rows that failed in an earlier run and are not tried again.
        duplicate_annotations: Number of annotations in the output beyond one per id.
        duplicated_ids: First MAX_DUPLICATED_IDS ids with several annotations, in order.
    """

    annotated: int
    kept_failures: int
    duplicate_annotations: int = 0
    duplicated_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SortedRows:
    """Rows of one partition of the manifest's ids, sorted by what this run does with them.

    Attributes:
        pending: Recordings to annotate now, one per id, ordered by id.
        duplicates: Rows left out because another row has their id.
        unresolved: Failures of earlier runs whose recordings are neither annotated since nor tried now.
        retried: Failures of earlier runs whose recordings are tried now; they are unresolved only if this run is
            stopped before it reaches them.
        done: Counts of the other rows; its `kept_failures` are among `unresolved`.
    """

    pending: tuple[Recording, ...]
    duplicates: tuple[Recording, ...]
    unresolved: tuple[Failure, ...]
    retried: tuple[Failure, ...]
    done: Done


def skip_annotated(
    rows: Iterable[Recording], annotated: Iterable[str], failures: Iterable[Failure], keep_failures: bool
) -> SortedRows:
    """Sort the rows of one partition; the result does not depend on the order of any argument.

    Args:
        annotated: Id of every annotation that the output has in the partition; an id should appear once.
        failures: Failures that the output has in the partition, of any run.
        keep_failures: Whether recordings that failed in an earlier run are not tried again.
    """
    annotations = Counter(annotated)
    duplicated = sorted(id for id, count in annotations.items() if count > 1)
    # Of several failures of one id the latest run's counts; run ids sort by time.
    by_time = sorted(failures, key=lambda failure: (failure.run_id, repr(failure)))
    unresolved = {failure.id: failure for failure in by_time if failure.id not in annotations}
    by_id: dict[str, list[Recording]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row)
    canonical = {id: pick_canonical_row(group) for id, group in by_id.items()}
    kept_ids = unresolved.keys() & canonical.keys() if keep_failures else set[str]()
    pending = [canonical[id] for id in sorted(canonical) if id not in annotations and id not in kept_ids]
    tried = {recording.id for recording in pending}
    return SortedRows(
        pending=tuple(pending),
        duplicates=tuple(row for id, group in sorted(by_id.items()) for row in _without(group, canonical[id])),
        unresolved=tuple(unresolved[id] for id in sorted(unresolved) if id not in tried),
        retried=tuple(unresolved[id] for id in sorted(unresolved) if id in tried),
        done=Done(
            annotated=len(annotations.keys() & canonical.keys()),
            kept_failures=len(kept_ids),
            duplicate_annotations=annotations.total() - len(annotations),
            duplicated_ids=tuple(duplicated[:MAX_DUPLICATED_IDS]),
        ),
    )


def _without(group: list[Recording], canonical: Recording) -> list[Recording]:
    """The group without one copy of its canonical row, in an order that the manifest's does not change."""
    duplicates = list(group)
    duplicates.remove(canonical)
    return sorted(duplicates, key=repr)


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
        rows = skip_annotated(
            members["rows"],
            members["annotated"],
            members["failures"],
            self._keep_failures,
        )
        self._counters.add("already_annotated", rows.done.annotated)
        self._counters.add("kept_failures", rows.done.kept_failures)
        self._counters.add("to_do", len(rows.pending))
        yield from rows.pending
        for duplicate in rows.duplicates:
            yield TaggedOutput("duplicates", duplicate)
        for failure in rows.unresolved:
            yield TaggedOutput("unresolved", failure)
        for failure in rows.retried:
            yield TaggedOutput("retried", failure)
        yield TaggedOutput("done", rows.done)


class SkipAnnotated(beam.PTransform):
    """Recordings still to do (`pending`, the main output), and `duplicates`, `unresolved`, `retried` and `done`.

    The output's parts are those of `snapshot`, the list written when the run was launched, never a fresh listing: a
    stage that the runner restarts finds the same recordings.
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
            | skip.with_outputs("duplicates", "unresolved", "retried", "done", main="pending")
        )
