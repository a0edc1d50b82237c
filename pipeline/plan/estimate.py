"""Time and cost by device, from a table of measured speeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.pipeline.plan.memory import MachineDevice
from earmark.pipeline.plan.models import PlannedModel
from earmark.pipeline.plan.tables import Device, Price, PriceTable, Speed, Tables
from earmark.schemas.job import JobOptions

UNLIKE = 2.0  # times longer or shorter than the measured recordings: the figure may not hold


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of the work on machines of one kind, including `lost_share` of the time."""

    machine: str
    machine_hours: float
    usd_per_hour: float
    usd: float
    date: str
    source: str


@dataclass(frozen=True, slots=True)
class DeviceEstimate:
    """The work on one device.

    Attributes:
        device: Name of the device in the table.
        here: Whether this machine has a device of this kind.
        work_s: Seconds of one device; None where that, or the hours of audio, is not known.
        missing: Models of the job that were not measured on it with these tasks and options.
        at_most: Whether the measured run had more tasks than this job.
        engine_only: Whether only the model was measured, without fetching, decoding and writing.
        start_s: Seconds that a run needs once.
        measured: "bench_pipeline, 2026-11-22" for each figure that was used.
        notes: Reasons why the figure may not hold.
        costs: Cost on each kind of machine with the device.
    """

    device: str
    here: bool
    work_s: float | None
    missing: tuple[str, ...] = ()
    at_most: bool = False
    engine_only: bool = False
    start_s: float = 0.0
    measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    costs: tuple[Cost, ...] = ()


def estimate(
    audio_s: float | None,
    recordings: int,
    models: Sequence[PlannedModel],
    options: JobOptions,
    tables: Tables,
    here: Sequence[MachineDevice] = (),
) -> tuple[DeviceEstimate, ...]:
    """An estimate for each device of the table, in its order; none where no model is named.

    The models of a job run one after the other, so their times add up.

    Args:
        audio_s: Seconds to annotate; None where the manifest lacks them and nothing was probed.
        recordings: Number of recordings to annotate.
        here: Devices of this machine.
    """
    estimates = []
    for device in tables.speed_table.devices:
        speeds = [_best(device, model, options, tables.speed_table.speeds) for model in models]
        is_here = any(machine_device.is_a(device) for machine_device in here)
        missing = tuple(model.name for model, speed in zip(models, speeds, strict=True) if speed is None)
        if missing or audio_s is None:
            estimates.append(DeviceEstimate(device.name, is_here, None, missing))
        elif models:
            used = [speed for speed in speeds if speed is not None]
            estimates.append(_measured(device.name, is_here, audio_s, recordings, models, used, tables.prices))
    return tuple(estimates)


def _measured(
    device: str,
    here: bool,
    audio_s: float,
    recordings: int,
    models: Sequence[PlannedModel],
    used: Sequence[Speed],
    prices: PriceTable,
) -> DeviceEstimate:
    """The estimate from the figures of `used`, one for each model."""
    work_s = sum(audio_s / speed.rtfx for speed in used)
    tasks_by_model = [set(model.tasks) for model in models]
    return DeviceEstimate(
        device,
        here,
        work_s,
        at_most=any(set(speed.tasks) != tasks for speed, tasks in zip(used, tasks_by_model, strict=True)),
        engine_only=any(speed.measured == "engine" for speed in used),
        start_s=max(speed.start_s for speed in used),
        measured=tuple(f"{speed.bench}, {speed.date}" for speed in used),
        notes=_notes(audio_s, recordings, used),
        costs=tuple(_cost(work_s, price, prices.lost_share) for price in prices.machines if price.device == device),
    )


def _best(device: Device, model: PlannedModel, options: JobOptions, speeds: Sequence[Speed]) -> Speed | None:
    """The highest speed measured with at least the tasks of the job; further tasks only make it slower."""
    if model.size is None or not model.shape:
        return None
    compute_type = model.size.compute_type(options, device.kind)
    fitting = [
        speed
        for speed in speeds
        if (speed.device, speed.model, speed.compute_type) == (device.name, model.shape, compute_type)
        and (speed.beam_size, speed.timestamps) == (options.beam_size, options.timestamps)
        and set(model.tasks) <= set(speed.tasks)
    ]
    return max(fitting, key=lambda speed: speed.rtfx, default=None)


def _notes(audio_s: float, recordings: int, speeds: Sequence[Speed]) -> tuple[str, ...]:
    mean_s = audio_s / recordings if recordings else 0.0
    unlike = [speed for speed in speeds if mean_s and not 1 / UNLIKE <= mean_s / speed.recording_s <= UNLIKE]
    return tuple(
        f"{speed.model} was measured on recordings of {speed.recording_s:g} s; these have {mean_s:.3g} s on average"
        for speed in unlike
    )


def _cost(work_s: float, price: Price, lost_share: float) -> Cost:
    """The cost as docs/deploy.md (What it costs) computes it."""
    machine_hours = work_s / 3600 / price.devices
    usd = machine_hours * price.usd_per_hour * (1 + lost_share)
    return Cost(price.machine, machine_hours, price.usd_per_hour, usd, str(price.date), price.source)
