"""The loop from clips to segments, to batches, to one answer for each recording and task.

An engine that answers one segment at a time subclasses SegmentEngine and brings only what is its own.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from earmark.model.segments.batching import run_with_oom_split
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.errors import MachineError, RowError
from earmark.schemas.records import Answers, Clip, Recording, Segment
from earmark.schemas.tasks import Task


class SegmentEngine(ABC):
    """An engine whose model takes one segment of at most 30 s at a time.

    A subclass plans batches and runs them. The other methods are hooks, with defaults for a model without text prompts,
    preprocessing to overlap, or an order of its own.
    """

    @abstractmethod
    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """Batches of indices of `segment_tasks`, each index in one batch."""

    @abstractmethod
    def infer(self, batch: Sequence[SegmentTask]) -> Sequence[Parts | RowError]:
        """The part of the answer to each task of each segment, or the error that fails its recording.

        A batch that runs out of memory is tried again in halves.
        """

    def prepare(self, batch: Sequence[SegmentTask]) -> Callable[[], Sequence[Parts | RowError]]:
        """Preprocess a batch on the CPU while the device works on the batch before it.

        Returns:
            The rest of `infer`, to be called once.
        """
        return partial(self.infer, batch)

    def order(self, segment_tasks: Sequence[SegmentTask]) -> Iterable[Sequence[SegmentTask]]:
        """Segments in groups that run one after the other, where one needs results of another."""
        return [segment_tasks]

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Text prompt of each task, "" for a model that takes none.

        Raises:
            RowError: The model cannot answer about this recording: it lacks a prompt, or the model lacks its language.
        """
        return ("",) * len(tasks)

    def empty_part(self, recording: Recording, task: Task) -> AnswerPart | None:
        """Answer part for a recording in which no segment has speech; None if the task has none."""
        return None

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """As Engine.annotate; a segment without speech does not run for tasks that need speech."""
        prompts = [self._prompts_or_error(clip.recording, tasks) for clip in clips]
        segment_tasks = [
            segment_task
            for index, (clip, of_clip) in enumerate(zip(clips, prompts, strict=True))
            if not isinstance(of_clip, RowError)
            for segment in clip.require_segments()
            for segment_task in [_segment_task(index, clip, segment, tasks, of_clip)]
            if segment_task.tasks
        ]
        results: list[list[tuple[Segment, Parts | RowError]]] = [[] for _ in clips]
        failed: set[int] = set()
        for group in self.order(segment_tasks):
            for segment_task, result in self._run([item for item in group if item.index not in failed]):
                results[segment_task.index].append((segment_task.segment, result))
                if isinstance(result, RowError):
                    failed.add(segment_task.index)
        return [
            of_clip if isinstance(of_clip, RowError) else self._join(clip.recording, tasks, of_clip, of_segments)
            for clip, of_clip, of_segments in zip(clips, prompts, results, strict=True)
        ]

    def _prompts_or_error(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...] | RowError:
        try:
            return self.prompts(recording, tasks)
        except RowError as error:
            return error

    def _run(self, segment_tasks: Sequence[SegmentTask]) -> Iterator[tuple[SegmentTask, Parts | RowError]]:
        """Every segment with its result, batch by batch; while one batch runs, the next one is prepared."""
        batches = [[segment_tasks[index] for index in batch] for batch in self.plan_batches(segment_tasks)]
        with ThreadPoolExecutor(1, "earmark-prepare") as thread:
            prepared = deque(thread.submit(self.prepare, batch) for batch in batches[:1])
            for number, batch in enumerate(batches, start=1):
                try:
                    infer = prepared.popleft().result()
                except (MemoryError, RuntimeError) as error:  # pinning memory raises the latter
                    raise MachineError(f"a batch of audio could not be put together: {error}") from error
                prepared.extend(thread.submit(self.prepare, following) for following in batches[number : number + 1])
                yield from zip(batch, run_with_oom_split(batch, partial(self._infer, batch, infer)), strict=True)

    def _infer(
        self,
        batch: Sequence[SegmentTask],
        infer: Callable[[], Sequence[Parts | RowError]],
        split: Sequence[SegmentTask],
    ) -> Sequence[Parts | RowError]:
        """Results of `split`: the whole batch, prepared as `infer`, or a fraction of one that ran out of memory."""
        return infer() if len(split) == len(batch) else self.infer(split)

    def _join(
        self,
        recording: Recording,
        tasks: Sequence[Task],
        prompts: Sequence[str],
        results: Sequence[tuple[Segment, Parts | RowError]],
    ) -> Answers | RowError:
        in_order = [result for _, result in sorted(results, key=lambda pair: pair[0].start)]
        parts: list[Parts] = []
        for result in in_order:
            if isinstance(result, RowError):
                return result
            parts.append(result)
        return {
            task.name: task.answer_kind.join(self._parts_of(task, recording, parts), task, prompt)
            for task, prompt in zip(tasks, prompts, strict=True)
        }

    def _parts_of(self, task: Task, recording: Recording, parts: Sequence[Parts]) -> list[AnswerPart]:
        of_task = [of_segment[task.name] for of_segment in parts if task.name in of_segment]
        empty = None if of_task else self.empty_part(recording, task)
        return of_task if empty is None else [empty]


def _segment_task(
    index: int, clip: Clip, segment: Segment, tasks: Sequence[Task], prompts: Sequence[str]
) -> SegmentTask:
    pairs = [
        (task, prompt) for task, prompt in zip(tasks, prompts, strict=True) if segment.speech or not task.needs_speech
    ]
    return SegmentTask(index, clip, segment, tuple(task for task, _ in pairs), tuple(prompt for _, prompt in pairs))
