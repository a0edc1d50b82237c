"""Whether the models of a job fit into the memory of devices: those of this machine, and those of the table."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import psutil

from earmark.pipeline.plan.models import PlannedModel
from earmark.pipeline.plan.tables import Device
from earmark.schemas.job import JobOptions
from earmark.schemas.records import MAX_SEGMENT_S

GB = 1e9
# A tenth of a device is left to its driver, the libraries' buffers and fragmentation.
USABLE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class MachineDevice:
    """A device of this machine, by its own name."""

    name: str
    kind: Literal["cpu", "cuda"]
    memory_gb: float
    cores: int = 0

    def is_a(self, device: Device) -> bool:
        """Whether it is the `device` of the table."""
        if self.kind == "cuda":
            return device.kind == "cuda" and self.name == device.called
        return device.kind == "cpu" and self.name.startswith(device.called) and self.cores == device.cores


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Memory of a job on one device, with all of its models.

    Attributes:
        device: Name of the device.
        here: Whether it is this machine's.
        memory_gb: Memory of the device.
        weights_gb, working_gb: Memory of the models whose size is known, for weights and for a batch.
        fits: None where it is uncertain, because the unknown memory comes on top.
        unknown: Descriptions of the memory that is not known.
        batch_s: Largest --batch_s that fits, not above the job's; None where even the smallest does not fit.
    """

    device: str
    here: bool
    memory_gb: float
    weights_gb: float
    working_gb: float
    fits: bool | None
    unknown: tuple[str, ...]
    batch_s: float | None


def memory_needs(
    models: Sequence[PlannedModel], options: JobOptions, here: Sequence[MachineDevice], table: Sequence[Device]
) -> tuple[MemoryNeed, ...]:
    """Memory on the devices of this machine, then on those of the table; empty where no size is known."""
    sized = [model for model in models if model.size is not None]
    if not sized:
        return ()
    elsewhere = [device for device in table if not any(machine_device.is_a(device) for machine_device in here)]
    return (
        *(_need(device.name, device.kind, device.memory_gb, True, models, options) for device in here),
        *(_need(device.name, device.kind, device.memory_gb, False, models, options) for device in elsewhere),
    )


def _need(
    device: str,
    kind: Literal["cpu", "cuda"],
    memory_gb: float,
    here: bool,
    models: Sequence[PlannedModel],
    options: JobOptions,
) -> MemoryNeed:
    sizes = [model.size for model in models if model.size is not None]
    weights = sum(size.weight_bytes(options, kind) for size in sizes) / GB
    # The models run one after the other, but none releases its working memory.
    second = sum(size.working_bytes(options, kind, 1) for size in sizes) / GB
    working = second * options.batch_s
    usable = memory_gb * USABLE_SHARE
    unknown = [f"{model.name}: {model.unknown}" for model in models if model.size is None and not model.elsewhere]
    unknown += [
        f"{model.name}: what a batch needs beside the weights"
        for model in models
        if model.size is not None and not model.size.cache_values
    ]
    enough = weights + working <= usable
    return MemoryNeed(
        device,
        here,
        memory_gb,
        weights,
        working,
        None if enough and unknown else enough,
        tuple(unknown),
        _largest_batch_s(usable - weights, second, options.batch_s),
    )


def _largest_batch_s(free_gb: float, second_gb: float, limit_s: float) -> float | None:
    if free_gb < 0:
        return None
    batch_s = limit_s if not second_gb else min(limit_s, float(int(free_gb / second_gb)))
    return batch_s if batch_s >= MAX_SEGMENT_S else None


def devices_here(device: str) -> list[MachineDevice]:
    """The devices of this machine that --device=`device` ("auto", "cpu", "cuda") would use."""
    import torch

    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    if gpus and device != "cpu":
        return [MachineDevice(gpu.name, "cuda", gpu.total_memory / GB) for gpu in gpus]
    return [] if device == "cuda" else [_cpu()]


def _cpu() -> MachineDevice:
    return MachineDevice(_cpu_name(), "cpu", psutil.virtual_memory().total / GB, os.cpu_count() or 1)


def _cpu_name() -> str:
    """Its name in /proc/cpuinfo; without that file, Python's."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()
