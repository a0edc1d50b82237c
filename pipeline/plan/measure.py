"""`earmark plan --measure N`: the speed of the job's own models on this machine, measured on a random sample."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from earmark.pipeline.annotate import assign
from earmark.schemas.job import JobOptions
from earmark.schemas.records import AnnotatedShard, Recording, Shard
from earmark.schemas.tables import annotations_table
from earmark.transforms.shard_stages import LocalStages, shard_stages


@dataclass(frozen=True, slots=True)
class Measurement:
    """Speed of a job on this machine.

    Attributes:
        recordings: Number of recordings that were annotated.
        failed: Number of recordings that failed.
        audio_s: Duration of the annotated recordings.
        work_s: Wall-clock time of annotating them, with as many threads as a run has here.
        start_s: Time that a run needs once: checks, loading the models, and the first recording.
    """

    recordings: int
    failed: int
    audio_s: float
    work_s: float
    start_s: float

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio for each second of work; None where nothing could be annotated."""
        return self.audio_s / self.work_s if self.audio_s else None


def measure(sample: Sequence[Recording], options: JobOptions, workers: int, shard_rows: int) -> Measurement:
    """Annotate the sample, time it, and discard the answers.

    Args:
        workers: Number of threads, as many as a run has.
        shard_rows: Recordings of a shard, the average of the run; a batch never crosses the bounds of a shard.

    Raises:
        JobError, MachineError: A run would fail as well.
    """
    began = time.perf_counter()
    assignments, _ = assign(options, here=True)
    tasks = [task for assignment in assignments for task in assignment.tasks]
    stages = LocalStages(shard_stages(options, assignments))

    def annotate(recordings: Sequence[Recording]) -> AnnotatedShard:
        annotated = stages.annotate(Shard("", tuple(recordings)))
        annotations_table(annotated.annotations, tasks)  # as WritePart does; the table is discarded
        return annotated

    annotate(sample[:1])  # loads the models and starts the children; a model's first call takes longer than later ones
    started = time.perf_counter()
    shards = [sample[start : start + shard_rows] for start in range(0, len(sample), max(1, shard_rows))]
    with ThreadPoolExecutor(workers) as threads:
        annotated = list(threads.map(annotate, shards))
    ended = time.perf_counter()
    audio_s = sum(row.facts.duration_s for shard in annotated for row in shard.annotations)
    done = sum(len(shard.annotations) for shard in annotated)
    failed = sum(len(shard.failures) for shard in annotated)
    return Measurement(done, failed, audio_s, ended - started, started - began)
