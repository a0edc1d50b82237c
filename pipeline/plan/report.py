"""Everything that `earmark plan` says, as one record: --json prints it as it is."""

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
    """What `earmark plan` takes beside the options of the job.

    Attributes:
        probe: recordings to look at; 0 for none.
        measure: recordings to annotate here; 0 for none.
        seed: decides which ones.
        speeds, prices: files with tables of one's own; "" for earmark's.
    """

    probe: int = 50
    measure: int = 0
    seed: int = 0
    speeds: str = ""
    prices: str = ""

    def check(self) -> None:
        """Raises JobError with the value and the remedy for the first option that makes no sense."""
        for name in ("probe", "measure"):
            if getattr(self, name) < 0:
                raise JobError(f"--{name}={getattr(self, name)} does not work: give 0 or more recordings")


@dataclass(frozen=True, slots=True)
class MeasuredHere:
    """What a run would take on this machine, from a sample that was annotated here.

    Attributes:
        devices: that answered.
        recordings, failed, audio_s, sample_s: the sample, the audio of those that were annotated, and how long it took.
        rtfx: seconds of audio for each second of work; None where all of the sample failed.
        start_s: once a run: importing, checking, loading the models, and what the first recording takes longer.
        work_s: all recordings of the plan: by their hours or, where those are not known, by their number; None where
            there is no rtfx.
        run_s: from the command's start to its end; None where work_s is.
        full_batch: whether the sample was as much as a batch of the model may hold; less is slower for each second.
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
    """All that is said; `plan` without its sample, which `probe` has."""

    plan: Plan
    lengths: Lengths
    probe: Probe
    warnings: tuple[Warned, ...]
    models: tuple[PlannedModel, ...]
    estimates: tuple[DeviceEstimate, ...]
    measured_here: MeasuredHere | None
    memory: tuple[MemoryNeed, ...]


def report_plan(
    manifest: str, output: str, options: JobOptions, asked: PlanOptions, imports_s: float = 0.0
) -> PlanReport:
    """Plans, probes, estimates and, where that is asked for, measures.

    Args:
        imports_s: what importing took so far, which a run pays, too.

    Raises:
        JobError: an option makes no sense, there is no such manifest, the output or a table cannot be read.
        MachineError: this machine cannot decode, or its device fails.
    """
    options.check()
    asked.check()
    tables = read_tables(asked.speeds, asked.prices)
    workers = default_workers()
    plan = make_plan(manifest, output, options, workers, max(asked.probe, asked.measure), asked.seed)
    probed = probe(plan.sample[: asked.probe], options)
    unsaid = [one.found_s for one in probed.found if one.said_s is None]
    lengths = estimate_lengths(plan.lengths, plan.recordings - plan.of_known, unsaid)
    began = time.perf_counter()
    models = planned_models(options, tables.known.models)
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
            _measure(plan, lengths, options, asked.measure, workers, here, imports_s) if asked.measure else None
        ),
        memory=memory_needs(models, options, here, tables.known.devices),
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

    found = measure(plan.sample[:count], options, workers, math.ceil(plan.recordings / plan.shards))
    audio_s, start_s = lengths.audio_s, imports_s + found.start_s
    work_s = None
    if found.rtfx:
        tried = found.recordings + found.failed
        work_s = plan.recordings * found.work_s / tried if audio_s is None else audio_s / found.rtfx
    return MeasuredHere(
        devices=tuple(f"{device.name}, {device.cores} cores" if device.cores else device.name for device in here),
        recordings=found.recordings,
        failed=found.failed,
        audio_s=found.audio_s,
        sample_s=found.work_s,
        rtfx=found.rtfx,
        start_s=start_s,
        work_s=work_s,
        run_s=None if work_s is None else start_s + work_s,
        full_batch=found.audio_s >= min(options.batch_s, audio_s or math.inf),
    )
