"""ReplicaPool of a torch model, one a device: where they are, in which numbers, and who has one."""

import contextlib
import logging
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError
from transformers.utils.logging import disable_progress_bar

from earmark.model.runtime.devices import DEFAULT_COMPUTE_TYPES, check_compute_type, choose_device
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions

log = logging.getLogger("earmark")
disable_progress_bar()  # of loading, in the middle of earmark's own
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
M = TypeVar("M")


class ReplicaPool(Generic[M]):
    """Threads take a copy for a batch and put it back, so that each device has one batch at a time."""

    def __init__(self, models: Sequence[M]):
        self._free: queue.SimpleQueue[M] = queue.SimpleQueue()
        for model in models:
            self._free.put(model)

    @contextlib.contextmanager
    def acquire(self) -> Iterator[M]:
        """A copy that nobody else has in the meantime; waits for one."""
        model = self._free.get()
        try:
            yield model
        finally:
            self._free.put(model)


def load_replicas(about: str, folder: str, options: JobOptions, load: Callable[[str, torch.dtype], M]) -> list[M]:
    """`load(place, dtype)` for each visible CUDA device, or for the CPU.

    Args:
        about: what is loaded, to a person.

    Raises:
        JobError: there is no such device, or the weights cannot be loaded.
    """
    torch.set_num_threads(options.model_threads or os.cpu_count() or 1)
    chosen = choose_device(options.device, torch.cuda.device_count())
    places = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if chosen == "cuda" else ["cpu"]
    numbers = DEFAULT_COMPUTE_TYPES[chosen] if options.compute_type == "default" else options.compute_type
    torch.backends.cudnn.allow_tf32 = False  # else convolutions in float32 have 10 bits of mantissa on CUDA
    log.info("%s on %s, computing in %s", about, ", ".join(places), numbers)
    try:
        return [load(place, DTYPES[numbers]) for place in places]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise JobError(f"the model in {folder} cannot be loaded on {chosen}: {error}") from error


def check_torch_device(options: JobOptions) -> None:
    """Raises JobError where this machine has no such device, or torch models do not compute in such numbers."""
    chosen = choose_device(options.device, torch.cuda.device_count())
    check_compute_type(options.compute_type, set(DTYPES), chosen)
