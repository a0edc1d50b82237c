"""Batches of similar lengths, limited by their total length with padding; and splitting when memory runs out."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from earmark.schemas.errors import MachineError, RowError

T = TypeVar("T")
R = TypeVar("R")


def plan_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in batches, longest first, with `len(batch) * max(lengths of batch) <= budget`.

    An item longer than the budget is a batch of one. Equal lengths keep their order, so the plan depends on the
    arguments alone.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def cut_alike(lengths: Sequence[int], max_padding: float) -> list[range]:
    """Cut `lengths`, longest first, into runs whose padded length is at most `max_padding` times their sum."""
    runs: list[range] = []
    start, total = 0, 0
    for index, length in enumerate(lengths):
        if index > start and (index + 1 - start) * lengths[start] > max_padding * (total + length):
            runs.append(range(start, index))
            start, total = index, 0
        total += length
    return [*runs, range(start, len(lengths))] if lengths else []


def run_with_oom_split(batch: Sequence[T], run: Callable[[Sequence[T]], Sequence[R]]) -> list[R | RowError]:
    """Run a batch, in halves if the device runs out of memory; one item that does not fit alone is a RowError.

    Raises:
        MachineError: The device fails in another way, which torch and CTranslate2 raise as a RuntimeError.
    """
    try:
        return list(run(batch))
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise MachineError(f"the model's device failed: {error}") from error
        if len(batch) <= 1:
            message = "one segment alone is too much for the model's device; use a larger one"
            return [RowError("out_of_memory", message) for _ in batch]
    middle = len(batch) // 2
    return run_with_oom_split(batch[:middle], run) + run_with_oom_split(batch[middle:], run)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch or CTranslate2 means that memory ran out."""
    message = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in message or "cublas_status_alloc_failed" in message
