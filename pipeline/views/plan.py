"""Printed output of `earmark plan`: a plan."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from earmark.pipeline.console.console import console, plain, say
from earmark.pipeline.plan.estimate import DeviceEstimate
from earmark.pipeline.plan.lengths import LengthClass, Lengths
from earmark.pipeline.plan.memory import MemoryNeed
from earmark.pipeline.plan.report import MeasuredHere, PlanReport
from earmark.pipeline.plan.warnings import Warned
from earmark.schemas.text import counted

MAX_BROKEN_ROWS = 5  # printed; --json has all


def print_plan(report: PlanReport) -> None:
    """Print the counts, lengths, warnings, estimates of time and cost, and whether the models fit in memory."""
    console.print(_counts(report))
    for failure in report.plan.failures[:MAX_BROKEN_ROWS]:
        say(f"  {failure.message}")
    if report.plan.recordings:
        console.print(_lengths(report.lengths))
        _print_warnings(report)
    if report.measured_here:
        console.print()
        say(_measured(report.measured_here))
    if report.estimates:
        console.print(_estimates(report.estimates))
        for line in _remarks(report.estimates):
            say(f"  {line}")
    if report.memory:
        console.print(_memory(report.memory))
    for model in report.models:
        if model.unknown:
            say(f"  {model.name}: size and speed are unknown ({model.unknown})")


def _counts(report: PlanReport) -> Table:
    plan = report.plan
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("recordings to annotate", str(plan.recordings))
    table.add_row("hours of audio", _hours(report.lengths, plan.recordings))
    table.add_row("already annotated", str(plan.already_annotated))
    table.add_row("failed before, kept", str(plan.kept_failures))
    table.add_row("duplicates skipped", str(plan.duplicates))
    table.add_row("unreadable rows", str(len(plan.failures)))
    table.add_row("shards", str(plan.shards))
    return table


def _hours(lengths: Lengths, recordings: int) -> str:
    hours = f"{lengths.known_s / 3600:.3f}"
    if not lengths.unknown:
        return hours
    source = f"{recordings - lengths.unknown} of {recordings} durations are in the manifest"
    if lengths.audio_s is None:
        return f"{hours} ({source})"
    error = f" ± {lengths.error_s / 3600:.3f}" if lengths.error_s else ""
    return f"{lengths.audio_s / 3600:.3f}{error} ({source}, the others are estimated from {lengths.probed} probed)"


def _lengths(lengths: Lengths) -> Table:
    table = Table("length", box=None, padding=(0, 2))
    table.add_column("recordings", justify="right")
    table.add_column("hours", justify="right")
    for length in lengths.classes:
        rows, seconds = length.recordings + length.estimated_recordings, length.seconds + length.estimated_s
        if rows:
            about = "about " if length.estimated_recordings else ""
            table.add_row(_class(length), f"{about}{rows:,.0f}", f"{seconds / 3600:,.3f}")
    return table


def _class(length: LengthClass) -> str:
    if not length.from_s:
        return f"under {_span(length.to_s or 0)}"
    return (
        f"{_span(length.from_s)} or more" if length.to_s is None else f"{_span(length.from_s)} to {_span(length.to_s)}"
    )


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


def _print_warnings(report: PlanReport) -> None:
    probe = report.probe
    if probe.asked:
        skipped = f" (no time for {probe.asked - len(probe.found)} more)" if probe.asked > len(probe.found) else ""
        result = "" if report.warnings else "; no warnings"
        console.print()
        say(f"decoded and measured {counted(len(probe.found), 'recording')}, chosen at random{skipped}{result}")
    for warning in report.warnings:
        say(f"  {_share(warning)}: {warning.message}{_examples(warning)}")


def _share(warning: Warned) -> str:
    share = f"{warning.recordings} of {warning.looked_at}"
    if not warning.sampled:
        return f"{share} in the manifest"
    return f"{share} (an estimated {warning.low:.0%} to {warning.high:.0%} of all)"


def _examples(warning: Warned) -> str:
    return f"; for example {', '.join(warning.examples)}" if warning.examples else ""


def _measured(measured: MeasuredHere) -> str:
    devices = ", ".join(measured.devices)
    if measured.rtfx is None or measured.run_s is None:
        return f"here ({devices}): no estimate, because every recording of the sample failed ({measured.failed})"
    sample = (
        f"{counted(measured.recordings, 'recording')}, {measured.audio_s:.0f} s of audio, in {measured.sample_s:.1f} s"
    )
    speed = f"here ({devices}): {sample}, RTFx {measured.rtfx:.1f}"
    if measured.failed:
        speed += f"; {measured.failed} failed"
    note = "" if measured.full_batch else "; the sample is less than a batch (--batch_s), so a long run may be faster"
    return f"{speed}; a run takes about {_time(measured.run_s)}, including {_time(measured.start_s)} to start{note}"


def _estimates(estimates: Sequence[DeviceEstimate]) -> Table:
    table = Table("device", "work", "cost", "from", box=None, padding=(0, 2))
    for estimate in estimates:
        name = f"{estimate.device} (here)" if estimate.here else estimate.device
        if estimate.work_s is None:
            table.add_row(plain(name), "not measured" if estimate.missing else "unknown", "", "")
            continue
        costs = [f"{cost.usd:,.2f} USD" for cost in estimate.costs] or ["unknown price"]
        work = ("at most " if estimate.at_most else "") + _time(estimate.work_s)
        table.add_row(plain(name), work, "\n".join(costs), plain("; ".join(estimate.measured)))
    return table


def _remarks(estimates: Sequence[DeviceEstimate]) -> Iterator[str]:
    if missing := sorted({name for estimate in estimates for name in estimate.missing}):
        yield f"not measured on every device with these options: {', '.join(missing)}; --measure N measures it here"
    for estimate in estimates:
        yield from (f"{estimate.device}: {note}; the estimate may be far off" for note in estimate.notes)
        if estimate.engine_only:
            yield f"{estimate.device}: only the model was measured, without fetching and decoding"
        for cost in estimate.costs:
            price = f"{cost.usd_per_hour:g} USD per hour on {cost.date}"
            yield f"{cost.machine}: {price} ({cost.source}); set your own with --prices"


def _memory(needs: Sequence[MemoryNeed]) -> Table:
    table = Table("memory of", "weights", "batch", "device", "", box=None, padding=(0, 2))
    for need in needs:
        name = f"{need.device} (here)" if need.here else need.device
        working = _size(need.working_gb) if need.working_gb else "unknown"
        table.add_row(plain(name), _size(need.weights_gb), working, _size(need.memory_gb), _verdict(need))
    return table


def _verdict(need: MemoryNeed) -> str:
    if need.fits:
        return "fits"
    if need.fits is None:
        return "the weights fit"
    return f"fits with --batch_s {need.batch_s:g}" if need.batch_s else "does not fit"


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:.0f} MB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
