"""`earmark plan --measure N`: the job's own models on this machine, on a random sample, as a run would ask them."""

import dataclasses
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from earmark.model.engine import Engine
from earmark.model.segments.speech_detector import SpeechDetector
from earmark.pipeline.annotate import assign
from earmark.schemas.job import JobOptions
from earmark.schemas.records import AnnotatedShard, Clip, Recording, Shard
from earmark.schemas.tables import annotations_table
from earmark.schemas.tasks import Task
from earmark.transforms.annotate import annotate_shard
from earmark.transforms.audio.isolation import child_processes
from earmark.transforms.audio.measure_bandwidth import measure_bandwidth
from earmark.transforms.decode_audio import scratch_folder
from earmark.transforms.decode_shard import decode_shard
from earmark.transforms.segment_speech import segment_clip


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured here.

    Attributes:
        recordings: that were annotated; `failed` were not.
        audio_s: of the annotated ones.
        work_s: seconds in which they were, by as many threads as a run has here.
        start_s: once a run: the checks, loading the models, and what the first recording takes longer.
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
    """Annotates the sample and throws the answers away.

    Args:
        workers: threads, as many as a run has.
        shard_rows: recordings of a shard, as the run's have them on average; a batch never reaches beyond a shard.

    Raises:
        JobError, MachineError: a run could not do it either.
    """
    began = time.perf_counter()
    assignments, _ = assign(options, here=True)
    engines = [(assignment.open_engine(), assignment.tasks) for assignment in assignments]
    annotator = _Annotator(options, engines, SpeechDetector())
    annotator.annotate(sample[:1])  # starts the children, and the first call of a model takes longer than the others
    started = time.perf_counter()
    shards = [sample[start : start + shard_rows] for start in range(0, len(sample), max(1, shard_rows))]
    with ThreadPoolExecutor(workers) as threads:
        annotated = list(threads.map(annotator.annotate, shards))
    ended = time.perf_counter()
    audio_s = sum(one.facts.duration_s for shard in annotated for one in shard.annotations)
    done = sum(len(shard.annotations) for shard in annotated)
    failed = sum(len(shard.failures) for shard in annotated)
    return Measurement(done, failed, audio_s, ended - started, started - began)


class _Annotator:
    """All stages from the recordings of a shard to the table that its part would hold, which is let go."""

    def __init__(self, options: JobOptions, engines: Sequence[tuple[Engine, Sequence[Task]]], detector: SpeechDetector):
        self._options, self._engines, self._detector = options, engines, detector
        self._pool = child_processes(options.decode_processes or os.cpu_count() or 1)

    def annotate(self, recordings: Sequence[Recording]) -> AnnotatedShard:
        with scratch_folder(self._options.scratch_dir) as scratch:
            decoded = decode_shard(Shard("", tuple(recordings)), self._options, self._pool, scratch)
            clips = tuple(map(self._heard, decoded.clips))
            annotated = annotate_shard(dataclasses.replace(decoded, clips=clips), self._engines)
        annotations_table(annotated.annotations, [task for _, tasks in self._engines for task in tasks])
        return annotated

    def _heard(self, clip: Clip) -> Clip:
        segments, speech_ratio, snr_db = segment_clip(clip.samples, self._detector)
        bandwidth_hz = measure_bandwidth(clip.samples)
        facts = dataclasses.replace(clip.facts, speech_ratio=speech_ratio, snr_db=snr_db, bandwidth_hz=bandwidth_hz)
        return dataclasses.replace(clip, facts=facts, segments=segments)
