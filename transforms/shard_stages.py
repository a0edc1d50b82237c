"""The stages between a planned shard and its annotations, in order: for the graph, and for `plan --measure`."""

from collections.abc import Sequence
from typing import Any, cast

from earmark.schemas.job import JobOptions
from earmark.schemas.records import AnnotatedShard, Shard
from earmark.transforms.annotate import Annotate, Assignment
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.audio.measure_bandwidth import MeasureBandwidth
from earmark.transforms.counters import NO_RUN, Counters
from earmark.transforms.decode_audio import DecodeAudio
from earmark.transforms.decode_shard import Decode
from earmark.transforms.segment_speech import SegmentSpeech
from earmark.transforms.shard_stage import ShardStage
from earmark.transforms.stop_request import NEVER_STOPPED, StopRequest


def shard_stages(
    options: JobOptions,
    assignments: Sequence[Assignment],
    counters: Counters = NO_RUN,
    stop: StopRequest = NEVER_STOPPED,
    decode: Decode = decode_requests,
) -> tuple[ShardStage, ...]:
    """Return the stages that make an AnnotatedShard of a Shard; a new stage is added here and nowhere else."""
    return (
        DecodeAudio(options, counters, decode),
        MeasureBandwidth(),
        SegmentSpeech(counters),
        Annotate(assignments, counters, stop),
    )


class LocalStages:
    """The same stages without Beam; several threads may pass shards through them once one shard has been through."""

    def __init__(self, stages: Sequence[ShardStage]):
        self._do_fns = [stage.do_fn for stage in stages]
        for do_fn in self._do_fns:
            do_fn.setup()

    def annotate(self, shard: Shard) -> AnnotatedShard:
        """Pass the shard through all stages."""
        passing: Any = shard
        for do_fn in self._do_fns:
            (passing,) = do_fn.process(passing)
        return cast(AnnotatedShard, passing)
