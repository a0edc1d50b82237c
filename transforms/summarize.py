"""Summarize: the failures of the output in one table, and the count that everything must add up to."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from earmark.schemas.records import Failure, PartReport, Recording
from earmark.schemas.tables import failures_table
from earmark.transforms.output.store import FAILURES_PATH, OutputStore, encode_table
from earmark.transforms.skip_annotated import MAX_DOUBLED_IDS, Done


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended.

    Attributes:
        planned: distinct recordings of the manifest and rows of it that cannot be read.
        already_annotated: of them, annotated by earlier runs.
        kept_failures: of them, failed in earlier runs and not tried again.
        annotated, failed: of them, in this run.
        unreadable: rows of the manifest that cannot be read; they are among `failed`.
        duplicates: rows of the manifest left out because another row has their id.
        failures_by_error: of all that stand after this run, also of recordings that this manifest does not name.
        foreign_parts: parts that appeared during the run and are not of it.
        doubled: annotations that the output had at launch beyond one an id, as a forgotten worker may leave them.
        doubled_ids: the first of their ids.
        left: recordings that were not begun, because somebody had asked the run to stop.
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
        """Recordings that this run fetched, or tried to."""
        return self.planned - self.already_annotated - self.kept_failures - self.unreadable - self.left

    @property
    def is_sound(self) -> bool:
        """Whether it is known of every recording where it is, or that it is left."""
        accounted = self.already_annotated + self.kept_failures + self.annotated + self.failed + self.left
        return self.planned == accounted and not self.foreign_parts and not self.doubled

    @property
    def adds_up(self) -> bool:
        """Whether every recording is annotated or failed."""
        return self.is_sound and not self.left


def summarize(
    to_do: int,
    done: Iterable[Done],
    reports: Iterable[PartReport],
    manifest_failures: Sequence[Failure],
    standing_failures: Sequence[Failure],
    duplicates: int,
    retried: Iterable[Failure] = (),
    left: Sequence[str] = (),
) -> tuple[Summary, list[Failure]]:
    """The summary of a run, and every failure that stands after it, ordered by id.

    Args:
        to_do: recordings that were to be annotated by this run.
        done: what needed no work, of parts of the manifest.
        reports: of this run's parts; a shard that was done twice may come twice.
        retried: failures of earlier runs whose recordings this run was to try again.
        left: ids of the recordings that it has not begun.
    """
    by_key = {report.key: report for report in reports}
    shard_failures = [failure for report in by_key.values() for failure in report.failures]
    done = list(done)
    already, kept = sum(one.annotated for one in done), sum(one.kept for one in done)
    left_ids = set(left)
    not_retried = [failure for failure in retried if failure.id in left_ids]
    failures = sorted(
        [*standing_failures, *not_retried, *manifest_failures, *shard_failures],
        key=lambda failure: (failure.id, failure.uri, failure.message),
    )
    summary = Summary(
        planned=to_do + already + kept + len(manifest_failures),
        already_annotated=already,
        kept_failures=kept,
        annotated=sum(report.annotated for report in by_key.values()),
        failed=len(shard_failures) + len(manifest_failures),
        unreadable=len(manifest_failures),
        duplicates=duplicates,
        failures_by_error=dict(Counter(failure.error for failure in failures).most_common()),
        doubled=sum(one.doubled for one in done),
        doubled_ids=tuple(sorted(id for one in done for id in one.doubled_ids)[:MAX_DOUBLED_IDS]),
        left=len(left),
    )
    return summary, failures


def foreign_parts(store: OutputStore, snapshot: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Parts that are neither in the snapshot of the launch nor of this run, such as a forgotten worker's."""
    known = {*store.read(snapshot).decode().splitlines(), *(store.part_path(key) for key in keys)}
    return tuple(part for part in store.parts() if part not in known)


def duplicates_table(duplicates: Iterable[Recording]) -> pa.Table:
    """Duplicate rows as a table: what identifies them, and the rest as it was read."""
    schema = pa.schema([("id", pa.string()), ("uri", pa.string()), ("row", pa.string())])
    rows = [
        {"id": row.id, "uri": row.uri, "row": json.dumps(dataclasses.asdict(row), ensure_ascii=False)}
        for row in duplicates
    ]
    return pa.Table.from_pylist(rows, schema=schema)


class _WriteSummary(beam.DoFn):
    def __init__(self, store: OutputStore, snapshot: str, run_folder: str, run_id: str):
        self._store, self._snapshot, self._run_folder, self._run_id = store, snapshot, run_folder, run_id

    def process(self, group: tuple[None, dict[str, Iterable[Any]]]) -> Iterator[Summary]:
        found = {name: list(members) for name, members in group[1].items()}
        manifest_failures = [dataclasses.replace(failure, run_id=self._run_id) for failure in found["manifest"]]
        summary, failures = summarize(
            sum(found["to_do"]),
            found["done"],
            found["reports"],
            manifest_failures,
            found["standing"],
            len(found["duplicates"]),
            found["retried"],
            found["left"],
        )
        foreign = foreign_parts(self._store, self._snapshot, (report.key for report in found["reports"]))
        summary = dataclasses.replace(summary, foreign_parts=foreign)
        self._store.replace(FAILURES_PATH, encode_table(failures_table(failures)))
        if found["duplicates"]:
            table = duplicates_table(sorted(found["duplicates"], key=repr))
            self._store.replace(f"{self._run_folder}/duplicates.parquet", encode_table(table))
        content = json.dumps(dataclasses.asdict(summary) | {"adds_up": summary.adds_up}, indent=2)
        self._store.replace(f"{self._run_folder}/summary.json", content.encode())
        yield summary


class Summarize(beam.PTransform):
    """Writes `failures/` in place of the earlier one, and the run's summary and duplicates; one Summary comes out."""

    def __init__(self, store: OutputStore, snapshot: str, run_folder: str, run_id: str):
        super().__init__()
        self._write = _WriteSummary(store, snapshot, run_folder, run_id)

    def expand(self, counted: Any) -> beam.PCollection:
        """Writes what is in `counted`.

        It holds PCollections named to_do (counts), done, reports, manifest, standing, duplicates, retried and left.
        """
        keyed = {name: found | f"Key_{name}" >> beam.Map(lambda one: (None, one)) for name, found in counted.items()}
        return keyed | beam.CoGroupByKey() | beam.ParDo(self._write)
