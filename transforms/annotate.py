"""Annotate: answers every task for every clip of a shard, with one copy of each model per worker."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.utils.shared import Shared

from earmark.model.engine import Engine
from earmark.schemas.answers.kind import Answer
from earmark.schemas.errors import RowError
from earmark.schemas.records import AnnotatedShard, Annotation, Clip, DecodedShard, Failure
from earmark.schemas.tasks import Task
from earmark.transforms.counters import NO_RUN, Counters
from earmark.transforms.shard_stage import ShardStage
from earmark.transforms.stop_request import NEVER_STOPPED, StopRequest

STAGE = "Annotate"
OpenEngine = Callable[[], Engine]


@dataclass(frozen=True)
class Assignment:
    """The tasks that one model answers; `open_engine` loads the model."""

    open_engine: OpenEngine
    tasks: tuple[Task, ...]


def annotate_shard(shard: DecodedShard, engines: Sequence[tuple[Engine, Sequence[Task]]]) -> AnnotatedShard:
    """Turn a shard's clips into annotations, or failures where an engine returns a RowError; the audio is released.

    A clip that one engine cannot answer is not passed to the next.

    Raises:
        JobError: A clip has not been segmented, which would make every answer empty.
    """
    for clip in shard.clips:
        clip.require_segments()
    failures = list(shard.failures)
    answered: list[tuple[Clip, dict[str, Answer]]] = [(clip, {}) for clip in shard.clips]
    for engine, tasks in engines:
        results = engine.annotate([clip for clip, _ in answered], tasks)
        still: list[tuple[Clip, dict[str, Answer]]] = []
        for (clip, answers), result in zip(answered, results, strict=True):
            if isinstance(result, RowError):
                failures.append(Failure.of(clip.recording, STAGE, result))
            else:
                still.append((clip, {**answers, **result}))
        answered = still
    annotations = tuple(Annotation(clip.recording, clip.facts, answers) for clip, answers in answered)
    return AnnotatedShard(shard.key, annotations, tuple(failures))


class _AnnotateShard(beam.DoFn):
    def __init__(self, assignments: Sequence[Assignment], counters: Counters, stop: StopRequest):
        self._assignments, self._counters, self._stop = tuple(assignments), counters, stop
        # Models are loaded at the first shard, so that a run with nothing new loads none. A Shared object lives as long
        # as it is referenced.
        self._shared = tuple(Shared() for _ in assignments)
        self._engines: list[Engine] = []

    def process(self, shard: DecodedShard) -> Iterator[AnnotatedShard]:
        if not self._engines:
            self._engines = [
                shared.acquire(assignment.open_engine)
                for shared, assignment in zip(self._shared, self._assignments, strict=True)
            ]
        engines = [
            (engine, assignment.tasks) for engine, assignment in zip(self._engines, self._assignments, strict=True)
        ]
        self._stop.mark_progress()
        with self._counters.time("annotating_ms"):
            annotated = annotate_shard(shard, engines)
        audio_s = sum(annotation.facts.duration_s for annotation in annotated.annotations)
        self._counters.add("annotated_audio_ms", round(1000 * audio_s))
        yield annotated


class Annotate(ShardStage):
    """Segmented DecodedShards to AnnotatedShards; each assignment's model is loaded once per worker process.

    Example:
        `shards | DecodeAudio(options) | SegmentSpeech() | Annotate(earmark.assignments(options))`
    """

    def __init__(
        self, assignments: Sequence[Assignment], counters: Counters = NO_RUN, stop: StopRequest = NEVER_STOPPED
    ):
        super().__init__(_AnnotateShard(assignments, counters, stop), AnnotatedShard)
