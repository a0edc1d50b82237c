"""Base class of the engines that answer several text prompts from one prefill of a segment's audio."""

from abc import abstractmethod
from collections.abc import Sequence

from earmark.model.decoding.greedy import Decoded
from earmark.model.decoding.prefix_decoder import LabelLogprobs
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask, label_weight, spoken_part
from earmark.model.segments.text_flags import answer_flags
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.label import LabelPart
from earmark.schemas.job import TOKEN_S
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.schemas.tasks import Task

TOKEN_SAMPLES = round(TOKEN_S * SAMPLE_RATE_HZ)


class PromptedEngine(SegmentEngine):
    """An engine that turns the tasks of a batch into rows of prompt branches, and decoded tokens into answers."""

    @abstractmethod
    def branch(self, segment_task: SegmentTask, task: Task, prompt: str) -> PromptBranch:
        """Return the token ids that follow the audio."""

    @abstractmethod
    def parse(self, segment_task: SegmentTask, task: Task, tokens: tuple[int, ...]) -> tuple[str, str | None]:
        """Return the text and the language of decoded token ids; the language is None if unknown."""

    def branch_rows(self, batch: Sequence[SegmentTask]) -> list[list[PromptBranch]]:
        """Return the branches of each segment, a column for each task; empty where a segment lacks the task."""
        tasks = _columns(batch)
        rows = []
        for segment_task in batch:
            branches = {
                task.name: self.branch(segment_task, task, prompt)
                for task, prompt in zip(segment_task.tasks, segment_task.prompts, strict=True)
            }
            rows.append([branches.get(task.name, PromptBranch((), task.max_new_tokens)) for task in tasks])
        return rows

    def parts(
        self,
        batch: Sequence[SegmentTask],
        rows: Sequence[Sequence[PromptBranch]],
        results: Sequence[Sequence[Decoded | LabelLogprobs | None]],
    ) -> list[Parts]:
        """Make the parts of answers of each segment, by task, from the results of SharedPrefixDecoder.decode."""
        tasks = _columns(batch)
        return [
            {
                task.name: self._part(segment_task, task, branch, result)
                for task, branch, result in zip(tasks, row, of_row, strict=True)
                if result is not None
            }
            for segment_task, row, of_row in zip(batch, rows, results, strict=True)
        ]

    def _part(
        self, segment_task: SegmentTask, task: Task, branch: PromptBranch, result: Decoded | LabelLogprobs
    ) -> AnswerPart:
        if isinstance(result, LabelLogprobs):
            return LabelPart(label_weight(segment_task), result.logprobs, tuple(map(len, branch.labels)))
        text, language = self.parse(segment_task, task, result.tokens)
        flags = answer_flags(task, text, segment_task.duration_s, result.truncated)
        return spoken_part(segment_task, text, flags, result.logprob_sum, result.token_count, language)


def _columns(batch: Sequence[SegmentTask]) -> tuple[Task, ...]:
    """The tasks of the batch; segments without speech lack those that need speech."""
    return max((segment_task.tasks for segment_task in batch), key=len)
