"""Annotate: every task's answer for every clip of a shard, from one copy of the model a worker."""

from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
from apache_beam.utils.shared import Shared

from model.engine import Engine
from schemas.errors import RowError
from schemas.records import AnnotatedShard, Annotation, DecodedShard, Failure
from transforms.counters import Counters

STAGE = "Annotate"
OpenEngine = Callable[[], Engine]


def annotate_shard(shard: DecodedShard, engine: Engine, tasks: Sequence[str]) -> AnnotatedShard:
    """The shard's clips as annotations, or as failures where the engine has no answer; its audio is let go."""
    results = engine.annotate(shard.clips, tasks)
    annotations: list[Annotation] = []
    failures = list(shard.failures)
    for clip, result in zip(shard.clips, results, strict=True):
        if isinstance(result, RowError):
            failures.append(Failure.of(clip.recording, STAGE, result))
        else:
            annotations.append(Annotation(clip.recording, clip.facts, result))
    return AnnotatedShard(shard.key, tuple(annotations), tuple(failures))


@beam.typehints.with_output_types(AnnotatedShard)
class _AnnotateShard(beam.DoFn):
    def __init__(self, open_engine: OpenEngine, tasks: Sequence[str], counters: Counters):
        self._open_engine, self._tasks, self._counters = open_engine, tuple(tasks), counters
        # Loads at the first shard, so that a run with nothing new loads nothing; what is shared lives while held.
        self._shared = Shared()
        self._engine: Engine | None = None

    def process(self, shard: DecodedShard) -> Iterator[AnnotatedShard]:
        self._engine = self._shared.acquire(self._open_engine)
        annotated = annotate_shard(shard, self._engine, self._tasks)
        audio_s = sum(annotation.facts.duration_s for annotation in annotated.annotations)
        self._counters.add("annotated_audio_ms", round(1000 * audio_s))
        yield annotated


class Annotate(beam.PTransform):
    """DecodedShards to AnnotatedShards; `open_engine` loads the model, once a worker process."""

    def __init__(self, open_engine: OpenEngine, tasks: Sequence[str], counters: Counters):
        super().__init__()
        self._open_engine, self._tasks, self._counters = open_engine, tasks, counters

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        return shards | beam.ParDo(_AnnotateShard(self._open_engine, self._tasks, self._counters))
