"""StopGate: the entrance to all work on a shard, which is closed once somebody has asked the run to stop."""

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

    def process(self, shard: Shard) -> Iterator[Shard | TaggedOutput[Literal["left"], str]]:
        with self._stop.in_flight(shard.key) as wanted:
            if wanted:
                yield shard  # returns when the shard is written: all stages from here to WritePart are fused
            else:
                for recording in shard.recordings:
                    yield TaggedOutput("left", recording.id)


class StopGate(beam.PTransform):
    """Shards to work on (main output), and the ids of recordings that are `left` for another run."""

    def __init__(self, stop: StopRequest):
        super().__init__()
        self._stop = stop

    def expand(self, shards: beam.PCollection) -> Any:
        return shards | beam.ParDo(_StopGate(self._stop)).with_outputs("left", main="shards")
