"""What a person sees of a plan."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from earmark.pipeline.console.console import console, plain, say
from earmark.pipeline.plan.estimate import DeviceEstimate
from earmark.pipeline.plan.lengths import LengthClass, Lengths
from earmark.pipeline.plan.memory import MemoryNeed
from earmark.pipeline.plan.report import MeasuredHere, PlanReport
from earmark.pipeline.plan.warnings import Warned
from earmark.schemas.text import counted

BROKEN_ROWS = 5  # that are shown


def print_plan(report: PlanReport) -> None:
    """What there is to do, how long it is, what is odd, what it takes, and whether the models fit."""
    console.print(_counts(report))
    for failure in report.plan.failures[:BROKEN_ROWS]:
        say(f"  {failure.message}")
    if report.plan.recordings:
        console.print(_lengths(report.lengths))
        _print_warnings(report)
    if report.measured_here:
        console.print()
        say(_here(report.measured_here))
    if report.estimates:
        console.print(_estimates(report.estimates))
        for line in _remarks(report.estimates):
            say(f"  {line}")
    if report.memory:
        console.print(_memory(report.memory))
    for model in report.models:
        if model.unknown:
            say(f"  {model.name}: size and speed are not known ({model.unknown})")


def _counts(report: PlanReport) -> Table:
    plan = report.plan
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("recordings to annotate", str(plan.recordings))
    table.add_row("hours of audio", _hours(report.lengths, plan.recordings))
    table.add_row("annotated already", str(plan.already_annotated))
    table.add_row("failed before, kept", str(plan.kept_failures))
    table.add_row("duplicates left out", str(plan.duplicates))
    table.add_row("broken rows", str(len(plan.failures)))
    table.add_row("shards", str(plan.shards))
    return table


def _hours(lengths: Lengths, recordings: int) -> str:
    known = f"{lengths.known_s / 3600:.3f}"
    if not lengths.unknown:
        return known
    said = f"the manifest says it of {recordings - lengths.unknown} of {recordings}"
    if lengths.audio_s is None:
        return f"{known} ({said})"
    error = f" ± {lengths.error_s / 3600:.3f}" if lengths.error_s else ""
    return f"{lengths.audio_s / 3600:.3f}{error} ({said}; the others from {lengths.probed} that were probed)"


def _lengths(lengths: Lengths) -> Table:
    table = Table("length", box=None, padding=(0, 2))
    table.add_column("recordings", justify="right")
    table.add_column("hours", justify="right")
    for one in lengths.classes:
        rows, seconds = one.recordings + one.estimated_recordings, one.seconds + one.estimated_s
        if rows:
            about = "about " if one.estimated_recordings else ""
            table.add_row(_class(one), f"{about}{rows:,.0f}", f"{seconds / 3600:,.3f}")
    return table


def _class(one: LengthClass) -> str:
    if not one.from_s:
        return f"under {_span(one.to_s or 0)}"
    return f"{_span(one.from_s)} or more" if one.to_s is None else f"{_span(one.from_s)} to {_span(one.to_s)}"


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


def _print_warnings(report: PlanReport) -> None:
    probe = report.probe
    if probe.asked:
        missing = (
            f" (there was no time for {probe.asked - len(probe.found)} more)" if probe.asked > len(probe.found) else ""
        )
        odd = "" if report.warnings else "; nothing is odd about them"
        console.print()
        say(f"decoded and measured {counted(len(probe.found), 'recording')}, chosen at random{missing}{odd}")
    for warning in report.warnings:
        say(f"  {_share(warning)}: {warning.message}{_such_as(warning)}")


def _share(warning: Warned) -> str:
    share = f"{warning.recordings} of {warning.looked_at}"
    if not warning.sampled:
        return f"{share} in the manifest"
    return f"{share} (so {warning.low:.0%} to {warning.high:.0%} of all)"


def _such_as(warning: Warned) -> str:
    return f"; such as {', '.join(warning.examples)}" if warning.examples else ""


def _here(measured: MeasuredHere) -> str:
    devices = ", ".join(measured.devices)
    if measured.rtfx is None or measured.run_s is None:
        return f"here ({devices}): every recording that was tried failed ({measured.failed}), so there is no estimate"
    sample = (
        f"{counted(measured.recordings, 'recording')}, {measured.audio_s:.0f} s of audio, in {measured.sample_s:.1f} s"
    )
    speed = f"here ({devices}): {sample}, RTFx {measured.rtfx:.1f}"
    if measured.failed:
        speed += f"; {measured.failed} failed"
    note = "" if measured.full_batch else "; less than a batch of --batch_s, so a long run may be faster"
    return f"{speed}; a run takes about {_time(measured.run_s)}, {_time(measured.start_s)} of it to start{note}"


def _estimates(estimates: Sequence[DeviceEstimate]) -> Table:
    table = Table("device", "work", "cost", "from", box=None, padding=(0, 2))
    for one in estimates:
        name = f"{one.device} (here)" if one.here else one.device
        if one.work_s is None:
            table.add_row(plain(name), "not measured" if one.missing else "not known", "", "")
            continue
        costs = [f"{cost.usd:,.2f} USD" for cost in one.costs] or ["no price known"]
        work = ("at most " if one.at_most else "") + _time(one.work_s)
        table.add_row(plain(name), work, "\n".join(costs), plain("; ".join(one.measured)))
    return table


def _remarks(estimates: Sequence[DeviceEstimate]) -> Iterator[str]:
    if missing := sorted({name for one in estimates for name in one.missing}):
        yield f"not measured on some of these, as it is asked here: {', '.join(missing)}; --measure N tries it here"
    for one in estimates:
        yield from (f"{one.device}: {note}; the figure may be far off" for note in one.notes)
        if one.engine_only:
            yield f"{one.device}: the model alone was measured, without fetching and decoding"
        for cost in one.costs:
            price = f"{cost.usd_per_hour:g} USD an hour on {cost.date}"
            yield f"{cost.machine}: {price} ({cost.source}); your own prices: --prices"


def _memory(needs: Sequence[MemoryNeed]) -> Table:
    table = Table("memory of", "weights", "batch", "device", "", box=None, padding=(0, 2))
    for one in needs:
        name = f"{one.device} (here)" if one.here else one.device
        working = _size(one.working_gb) if one.working_gb else "not known"
        table.add_row(plain(name), _size(one.weights_gb), working, _size(one.memory_gb), _verdict(one))
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
