"""WritePart: writes a shard's annotations and failures as one object, created once."""

import dataclasses
from collections.abc import Iterator, Sequence

import apache_beam as beam

from earmark.schemas.errors import MachineError
from earmark.schemas.records import AnnotatedShard, PartReport
from earmark.schemas.tables import annotations_table
from earmark.schemas.tasks import Task
from earmark.transforms.counters import Counters
from earmark.transforms.failure_limit import check_failures
from earmark.transforms.output.lease import check_lease
from earmark.transforms.output.store import OutputStore, encode_part


def write_part(
    store: OutputStore, shard: AnnotatedShard, tasks: Sequence[Task], run_id: str, fingerprint: str
) -> PartReport:
    """Write the shard's part, and return the report of the part that is in the output afterwards.

    If another worker has written the same shard already, its part is kept and this one discarded.

    Raises:
        MachineError: The run has lost the output, or the part cannot be written.
    """
    failures = tuple(dataclasses.replace(failure, run_id=run_id) for failure in shard.failures)
    report = PartReport(shard.key, len(shard.annotations), failures)
    content = encode_part(annotations_table(shard.annotations, tasks), report, run_id, fingerprint)
    path = store.part_path(shard.key)
    try:
        check_lease(store, run_id)
        return report if store.create(path, content) else store.read_report(path)
    except OSError as error:
        raise MachineError(f"{path} could not be written to {store.root}: {error}") from error


class _WritePart(beam.DoFn):
    def __init__(
        self, store: OutputStore, tasks: Sequence[Task], fingerprint: str, max_failure_ratio: float, counters: Counters
    ):
        self._store, self._tasks, self._fingerprint = store, tuple(tasks), fingerprint
        self._max_failure_ratio, self._counters = max_failure_ratio, counters

    def process(self, shard: AnnotatedShard) -> Iterator[PartReport]:
        # Before the part is written, so that a runner that tries the shard again gets the same error.
        counts = self._counters.here()
        failed = counts["failed"] + len(shard.failures)
        check_failures(failed, failed + counts["annotated"] + len(shard.annotations), self._max_failure_ratio)
        report = write_part(self._store, shard, self._tasks, self._counters.run_id, self._fingerprint)
        self._counters.add("annotated", report.annotated)
        self._counters.add("failed", len(report.failures))
        self._counters.add("written_shards")
        yield report


@beam.typehints.with_output_types(PartReport)
class WritePart(beam.PTransform):
    """AnnotatedShards to reports of the parts that hold them."""

    def __init__(
        self, store: OutputStore, tasks: Sequence[Task], fingerprint: str, max_failure_ratio: float, counters: Counters
    ):
        super().__init__()
        self._write = _WritePart(store, tasks, fingerprint, max_failure_ratio, counters)

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        return shards | beam.ParDo(self._write)
