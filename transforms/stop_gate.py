"""StopGate: admits shards until a stop of the run is requested."""

from collections.abc import Iterator
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from earmark.schemas.records import Shard
from earmark.transforms.stop_request import StopRequest


@beam.typehints.with_input_types(Shard)
@beam.typehints.with_output_types(Shard)
class _StopGate(beam.DoFn):
    def __init__(self, stop: StopRequest):
        self._stop = stop

    def process(self, shard: Shard) -> Iterator[Shard | TaggedOutput[Literal["not_started"], str]]:
        with self._stop.in_flight(shard.key) as admitted:
            if admitted:
                yield shard  # returns when the shard is written: all stages from here to WritePart are fused
            else:
                for recording in shard.recordings:
                    yield TaggedOutput("not_started", recording.id)


class StopGate(beam.PTransform):
    """Shards to work on (`shards`, the main output), and ids of recordings that are `not_started` in this run."""

    def __init__(self, stop: StopRequest):
        super().__init__()
        self._stop = stop

    def expand(self, shards: beam.PCollection) -> Any:
        return shards | beam.ParDo(_StopGate(self._stop)).with_outputs("not_started", main="shards")
