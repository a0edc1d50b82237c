"""The whole result of `earmark plan` as one record, which --json prints."""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.pipeline.plan.estimate import DeviceEstimate, estimate
from earmark.pipeline.plan.lengths import Lengths, estimate_lengths
from earmark.pipeline.plan.memory import MachineDevice, MemoryNeed, devices_here, memory_needs
from earmark.pipeline.plan.models import PlannedModel, planned_models
from earmark.pipeline.plan.plan import Plan, make_plan
from earmark.pipeline.plan.probe import Probe, probe
from earmark.pipeline.plan.tables import read_tables
from earmark.pipeline.plan.warnings import Warned, warnings_of
from earmark.pipeline.runner import default_workers
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Options of `earmark plan` beside those of the job.

    Attributes:
        probe: Number of recordings to decode; 0 for none.
        measure: Number of recordings to annotate here; 0 for none.
        seed: Seed of the sample.
        speeds, prices: Files with tables of the user's own; "" for earmark's.
    """

    probe: int = 50
    measure: int = 0
    seed: int = 0
    speeds: str = ""
    prices: str = ""

    def check(self) -> None:
        """Raises JobError with the value and the remedy for the first invalid option."""
        for name in ("probe", "measure"):
            if getattr(self, name) < 0:
                raise JobError(f"--{name}={getattr(self, name)} does not work: give 0 or more recordings")


@dataclass(frozen=True, slots=True)
class MeasuredHere:
    """Time of a run on this machine, from a sample that was annotated here.

    Attributes:
        devices: Devices that the models ran on.
        recordings, failed: Numbers of recordings in the sample that were annotated, and that failed.
        audio_s, sample_s: Seconds of the annotated audio, and the time that it took.
        rtfx: Seconds of audio for each second of work; None where all of the sample failed.
        start_s: Time that a run needs once: imports, checks, loading the models, and the first recording.
        work_s: Time for all recordings of the plan: by their hours or, where those are not known, by their number;
            None without rtfx.
        run_s: Time from the command's start to its end; None without work_s.
        full_batch: Whether the sample filled a batch of the model; a smaller one is slower for each second.
    """

    devices: tuple[str, ...]
    recordings: int
    failed: int
    audio_s: float
    sample_s: float
    rtfx: float | None
    start_s: float
    work_s: float | None
    run_s: float | None
    full_batch: bool


@dataclass(frozen=True, slots=True)
class PlanReport:
    """The whole result; `plan` is without its sample, which `probe` has."""

    plan: Plan
    lengths: Lengths
    probe: Probe
    warnings: tuple[Warned, ...]
    models: tuple[PlannedModel, ...]
    estimates: tuple[DeviceEstimate, ...]
    measured_here: MeasuredHere | None
    memory: tuple[MemoryNeed, ...]


def report_plan(
    manifest: str, output: str, options: JobOptions, plan_options: PlanOptions, imports_s: float = 0.0
) -> PlanReport:
    """Plan, probe, estimate and, with --measure, measure.

    Args:
        imports_s: Seconds that imports took so far, which a run needs, too.

    Raises:
        JobError: An option is invalid, there is no such manifest, or the output or a table cannot be read.
        MachineError: This machine cannot decode, or its device fails.
    """
    options.check()
    plan_options.check()
    tables = read_tables(plan_options.speeds, plan_options.prices)
    workers = default_workers()
    plan = make_plan(
        manifest, output, options, workers, max(plan_options.probe, plan_options.measure), plan_options.seed
    )
    probed = probe(plan.sample[: plan_options.probe], options)
    unlisted = [result.decoded_s for result in probed.found if result.said_s is None]
    lengths = estimate_lengths(plan.lengths, plan.recordings - plan.of_known, unlisted)
    began = time.perf_counter()
    models = planned_models(options, tables.speed_table.models)
    here = devices_here(options.device) if models else []
    imports_s += time.perf_counter() - began  # of torch and transformers, whose first use this is
    return PlanReport(
        plan=dataclasses.replace(plan, sample=()),
        lengths=lengths,
        probe=probed,
        warnings=warnings_of(plan, probed, options),
        models=models,
        estimates=estimate(lengths.audio_s, plan.recordings, models, options, tables, here),
        measured_here=(
            _measure(plan, lengths, options, plan_options.measure, workers, here, imports_s)
            if plan_options.measure
            else None
        ),
        memory=memory_needs(models, options, here, tables.speed_table.devices),
    )


def _measure(
    plan: Plan,
    lengths: Lengths,
    options: JobOptions,
    count: int,
    workers: int,
    here: Sequence[MachineDevice],
    imports_s: float,
) -> MeasuredHere:
    if not plan.sample:
        raise JobError("--measure has nothing to annotate: every recording of the manifest is accounted for")
    from earmark.pipeline.plan.measure import measure

    measured = measure(plan.sample[:count], options, workers, math.ceil(plan.recordings / plan.shards))
    audio_s, start_s = lengths.audio_s, imports_s + measured.start_s
    work_s = None
    if measured.rtfx:
        tried = measured.recordings + measured.failed
        work_s = plan.recordings * measured.work_s / tried if audio_s is None else audio_s / measured.rtfx
    return MeasuredHere(
        devices=tuple(f"{device.name}, {device.cores} cores" if device.cores else device.name for device in here),
        recordings=measured.recordings,
        failed=measured.failed,
        audio_s=measured.audio_s,
        sample_s=measured.work_s,
        rtfx=measured.rtfx,
        start_s=start_s,
        work_s=work_s,
        run_s=None if work_s is None else start_s + work_s,
        full_batch=measured.audio_s >= min(options.batch_s, audio_s or math.inf),
    )
