"""Summarize: the failures of the output in one table, and the counts of the run, which must add up."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from earmark.schemas.records import Failure, PartReport, Recording
from earmark.schemas.tables import failures_table
from earmark.transforms.output.store import FAILURES_PATH, OutputStore, encode_table
from earmark.transforms.skip_annotated import MAX_DUPLICATED_IDS, Done


@dataclass(frozen=True, slots=True)
class Summary:
    """Result of a run.

    Attributes:
        planned: Number of distinct recordings of the manifest, and of rows that cannot be read.
        already_annotated: Number of planned recordings that earlier runs annotated.
        kept_failures: Number of planned recordings that failed in earlier runs and were not tried again.
        annotated: Number of recordings that this run annotated.
        failed: Number of recordings that failed in this run, and of unreadable rows.
        unreadable: Number of manifest rows that cannot be read.
        duplicates: Number of manifest rows left out because another row has their id.
        failures_by_error: Number of unresolved failures by error code, also of recordings that this manifest does not
            name.
        foreign_parts: Parts that appeared during the run and that it did not write.
        doubled: Number of annotations beyond one per id that the output had at launch, as a forgotten worker may leave
            them.
        doubled_ids: First of the ids with several annotations.
        left: Number of recordings not started, because a stop of the run was requested.
    """

    planned: int
    already_annotated: int
    kept_failures: int
    annotated: int
    failed: int
    unreadable: int
    duplicates: int
    failures_by_error: dict[str, int]
    foreign_parts: tuple[str, ...] = ()
    doubled: int = 0
    doubled_ids: tuple[str, ...] = ()
    left: int = 0

    @property
    def tried(self) -> int:
        """Number of recordings that this run fetched, or tried to fetch."""
        return self.planned - self.already_annotated - self.kept_failures - self.unreadable - self.left

    @property
    def is_sound(self) -> bool:
        """Whether every recording is annotated, failed or not started, and each annotation is there once."""
        accounted = self.already_annotated + self.kept_failures + self.annotated + self.failed + self.left
        return self.planned == accounted and not self.foreign_parts and not self.doubled

    @property
    def adds_up(self) -> bool:
        """Whether every recording is annotated or failed."""
        return self.is_sound and not self.left


def summarize(
    pending: int,
    done: Sequence[Done],
    reports: Iterable[PartReport],
    unreadable: Sequence[Failure],
    unresolved: Sequence[Failure],
    duplicates: int,
    retried: Iterable[Failure] = (),
    not_started: Sequence[str] = (),
) -> tuple[Summary, list[Failure]]:
    """Return the summary of a run, and every failure that is unresolved after it, ordered by id.

    Args:
        pending: Number of recordings that this run was to annotate.
        done: Counts of rows that needed no work, one for each partition of the ids.
        reports: Reports of this run's parts; a shard that was done twice may have two.
        unreadable: Failures of manifest rows that cannot be read.
        unresolved: Failures of earlier runs whose recordings this run did not try.
        duplicates: Number of manifest rows left out because another row has their id.
        retried: Failures of earlier runs whose recordings this run was to try again.
        not_started: Ids of the recordings that it did not start.
    """
    by_key = {report.key: report for report in reports}
    shard_failures = [failure for report in by_key.values() for failure in report.failures]
    already_annotated = sum(counts.annotated for counts in done)
    kept_failures = sum(counts.kept_failures for counts in done)
    not_started_ids = set(not_started)
    not_retried = [failure for failure in retried if failure.id in not_started_ids]
    failures = sorted(
        [*unresolved, *not_retried, *unreadable, *shard_failures],
        key=lambda failure: (failure.id, failure.uri, failure.message),
    )
    summary = Summary(
        planned=pending + already_annotated + kept_failures + len(unreadable),
        already_annotated=already_annotated,
        kept_failures=kept_failures,
        annotated=sum(report.annotated for report in by_key.values()),
        failed=len(shard_failures) + len(unreadable),
        unreadable=len(unreadable),
        duplicates=duplicates,
        failures_by_error=dict(Counter(failure.error for failure in failures).most_common()),
        doubled=sum(counts.duplicate_annotations for counts in done),
        doubled_ids=tuple(sorted(id for counts in done for id in counts.duplicated_ids)[:MAX_DUPLICATED_IDS]),
        left=len(not_started),
    )
    return summary, failures


def foreign_parts(store: OutputStore, snapshot: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Parts that neither the snapshot at launch lists nor this run wrote, such as a forgotten worker's."""
    expected = {*store.read(snapshot).decode().splitlines(), *(store.part_path(key) for key in keys)}
    return tuple(part for part in store.parts() if part not in expected)


def duplicates_table(duplicates: Iterable[Recording]) -> pa.Table:
    """Duplicate rows as a table: id, uri, and the whole row as JSON."""
    schema = pa.schema([("id", pa.string()), ("uri", pa.string()), ("row", pa.string())])
    rows = [
        {"id": row.id, "uri": row.uri, "row": json.dumps(dataclasses.asdict(row), ensure_ascii=False)}
        for row in duplicates
    ]
    return pa.Table.from_pylist(rows, schema=schema)


class RunCounts(NamedTuple):
    """Results of a run that its summary is made of: PCollections in the graph, lists once they are gathered.

    Attributes:
        pending: Numbers of recordings that this run was to annotate.
        done: Done, one for each partition of the ids.
        reports: PartReport of each part that this run has written.
        unreadable: Failure of each manifest row that cannot be read.
        unresolved: Failures of earlier runs whose recordings this run did not try.
        retried: Failures of earlier runs whose recordings this run was to try again.
        not_started: Ids of recordings that a stopped run did not start.
        duplicates: Rows of the manifest left out because another row has their id.
    """

    pending: Any
    done: Any
    reports: Any
    unreadable: Any
    unresolved: Any
    retried: Any
    not_started: Any
    duplicates: Any


class _WriteSummary(beam.DoFn):
    def __init__(self, store: OutputStore, snapshot: str, run_folder: str, run_id: str):
        self._store, self._snapshot, self._run_folder, self._run_id = store, snapshot, run_folder, run_id

    def process(self, group: tuple[None, dict[str, Iterable[Any]]]) -> Iterator[Summary]:
        counts = RunCounts(**{name: list(members) for name, members in group[1].items()})
        summary, failures = summarize(
            sum(counts.pending),
            counts.done,
            counts.reports,
            [dataclasses.replace(failure, run_id=self._run_id) for failure in counts.unreadable],
            counts.unresolved,
            len(counts.duplicates),
            counts.retried,
            counts.not_started,
        )
        foreign = foreign_parts(self._store, self._snapshot, (report.key for report in counts.reports))
        summary = dataclasses.replace(summary, foreign_parts=foreign)
        self._store.replace(FAILURES_PATH, encode_table(failures_table(failures)))
        if counts.duplicates:
            table = duplicates_table(sorted(counts.duplicates, key=repr))
            self._store.replace(f"{self._run_folder}/duplicates.parquet", encode_table(table))
        content = json.dumps(dataclasses.asdict(summary) | {"adds_up": summary.adds_up}, indent=2)
        self._store.replace(f"{self._run_folder}/summary.json", content.encode())
        yield summary


class Summarize(beam.PTransform):
    """RunCounts to one Summary; replaces `failures/`, and writes the run's summary and duplicates."""

    def __init__(self, store: OutputStore, snapshot: str, run_folder: str, run_id: str):
        super().__init__()
        self._write = _WriteSummary(store, snapshot, run_folder, run_id)

    def expand(self, counts: RunCounts) -> beam.PCollection:
        keyed = {
            name: collection | f"Key_{name}" >> beam.Map(lambda element: (None, element))
            for name, collection in counts._asdict().items()
        }
        return keyed | beam.CoGroupByKey() | beam.ParDo(self._write)
