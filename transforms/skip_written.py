"""SkipWritten: passes over the shards of this run whose parts are in the output already."""

from collections.abc import Iterator
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from earmark.schemas.records import PartReport, Shard
from earmark.transforms.counters import Counters
from earmark.transforms.output.store import OutputStore


def find_written(store: OutputStore, shard: Shard) -> PartReport | None:
    """Return the report of the shard's part, or None if it has not been written yet."""
    try:
        return store.read_report(store.part_path(shard.key))
    except FileNotFoundError:
        return None


@beam.typehints.with_input_types(Shard)
@beam.typehints.with_output_types(Shard)
class _SkipWritten(beam.DoFn):
    def __init__(self, store: OutputStore, counters: Counters):
        self._store, self._counters = store, counters

    def process(self, shard: Shard) -> Iterator[Shard | TaggedOutput[Literal["written"], PartReport]]:
        report = find_written(self._store, shard)
        if report is None:
            yield shard
        else:
            self._counters.add("skipped_shards")
            yield TaggedOutput("written", report)


class SkipWritten(beam.PTransform):
    """Shards still to do (`pending`, the main output), and reports of the `written` ones, which a restart meets."""

    def __init__(self, store: OutputStore, counters: Counters):
        super().__init__()
        self._store, self._counters = store, counters

    def expand(self, shards: beam.PCollection) -> Any:
        return shards | beam.ParDo(_SkipWritten(self._store, self._counters)).with_outputs("written", main="pending")
