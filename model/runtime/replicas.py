"""Replicas of a torch model, one on each device, and the pool that lends them to threads."""

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
disable_progress_bar()  # transformers' bar for loading would break into earmark's own
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
M = TypeVar("M")


class ReplicaPool(Generic[M]):
    """Lends each replica to one thread at a time, so that each device runs one batch at a time."""

    def __init__(self, replicas: Sequence[M]):
        self._free: queue.SimpleQueue[M] = queue.SimpleQueue()
        for replica in replicas:
            self._free.put(replica)

    @contextlib.contextmanager
    def acquire(self) -> Iterator[M]:
        """Wait for a free replica, and hold it until the end of the context."""
        replica = self._free.get()
        try:
            yield replica
        finally:
            self._free.put(replica)


def load_replicas(about: str, folder: str, options: JobOptions, load: Callable[[str, torch.dtype], M]) -> list[M]:
    """Load a model once on each visible CUDA device, or once on the CPU.

    Args:
        about: Name of the model in the log.
        folder: Folder of the checkpoint.
        options: Options of the job: device, compute type, threads.
        load: Function of device ("cpu", "cuda:0") and dtype that loads one replica.

    Raises:
        JobError: The requested device is missing, or the weights cannot be loaded.
    """
    torch.set_num_threads(options.model_threads or os.cpu_count() or 1)
    chosen = choose_device(options.device, torch.cuda.device_count())
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if chosen == "cuda" else ["cpu"]
    dtype = DEFAULT_COMPUTE_TYPES[chosen] if options.compute_type == "default" else options.compute_type
    torch.backends.cudnn.allow_tf32 = False  # else convolutions in float32 have 10 bits of mantissa on CUDA
    log.info("%s on %s, computing in %s", about, ", ".join(devices), dtype)
    try:
        return [load(device, DTYPES[dtype]) for device in devices]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise JobError(f"the model in {folder} cannot be loaded on {chosen}: {error}") from error


def check_torch_device(options: JobOptions) -> None:
    """Check the device and the compute type for an engine that runs on torch.

    Raises:
        JobError: This machine does not have the device, or torch does not support the compute type.
    """
    chosen = choose_device(options.device, torch.cuda.device_count())
    check_compute_type(options.compute_type, set(DTYPES), chosen)
