"""Display of a run: a progress bar while it works, a table of counts when it has ended."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from earmark.pipeline.console.console import console, errors, is_terminal
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.launch import Run
from earmark.schemas.text import counted, join_some
from earmark.transforms.clusters.cluster_job import ClusterJob
from earmark.transforms.counters import Counters
from earmark.transforms.output.store import FAILURES_PATH
from earmark.transforms.stop_request import StopRequest
from earmark.transforms.summarize import Summary

REFRESH_S = 0.25


@contextlib.contextmanager
def show_progress(run: Run, embedded: bool) -> Iterator[None]:
    """Show a progress bar on a terminal if the job runs in this process; other runners show the counters themselves."""
    if run.job is not None:
        errors.print(escape(f"running as job {run.job.name} on {run.job.address}"), soft_wrap=True)
    if not (embedded and is_terminal(stderr=True) and not errors.is_dumb_terminal):
        yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    ended = threading.Event()
    with Progress(*columns, console=errors, transient=True) as progress:
        args = (progress, Counters(run.run_id), StopRequest(run.run_id), ended)
        watcher = threading.Thread(target=_watch, args=args, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _watch(progress: Progress, counters: Counters, stop: StopRequest, ended: threading.Event) -> None:
    bar = progress.add_task("planning", total=None)
    started = time.monotonic()
    while not ended.wait(REFRESH_S):
        counts = counters.here()
        if not counts["planned_recordings"]:
            started = time.monotonic()  # the time of planning does not count
        else:
            update_bar(progress, bar, counts, time.monotonic() - started)
        if stop.signal_number is not None:
            progress.update(bar, description=f"stopping; shards in flight: {stop.count_in_flight()}")


def update_bar(progress: Progress, bar: TaskID, counts: Mapping[str, int], elapsed_s: float) -> None:
    """Set the bar to the counters of a run after `elapsed_s` seconds of work."""
    audio_s = counts["annotated_audio_ms"] / 1000
    progress.update(
        bar,
        total=counts["planned_recordings"],
        completed=counts["annotated"] + counts["failed"],
        description=f"{audio_s / 3600:.2f} h of audio, RTFx {audio_s / elapsed_s:.1f},"
        f" {counted(counts['failed'], 'failure')}",
    )


def print_cancelled(job: ClusterJob) -> None:
    message = f"cancelling job {job.name} on {job.address}; the next run repeats its unfinished shards"
    errors.print(escape(message), soft_wrap=True)


def print_summary(summary: Summary, run: Run) -> None:
    """Print the final table, which accounts for every row of the manifest."""
    if summary.tried == 0 and not summary.left:
        console.print("Nothing to do: the output already accounts for every recording of the manifest.")
    audio_s = Counters(run.run_id).here()["annotated_audio_ms"] / 1000
    table = Table(show_header=False, box=None, padding=(0, 2))
    rows = [
        ("recordings", summary.planned),
        ("annotated now", f"{summary.annotated} ({audio_s / 3600:.3f} h of audio)" if audio_s else summary.annotated),
        ("annotated before", summary.already_annotated),
        ("failed", summary.failed),
        ("failed before, kept", summary.kept_failures),
        ("duplicates skipped", summary.duplicates),
        ("not started", summary.left),
    ]
    for name, value in rows:
        if value or name in ("recordings", "annotated now", "failed"):
            table.add_row(name, str(value))
    table.add_row("annotations", escape(f"{run.output}/annotations"))
    if summary.failures_by_error:
        by_error = ", ".join(f"{count} {error}" for error, count in summary.failures_by_error.items())
        table.add_row("failures", escape(f"{run.output}/{FAILURES_PATH} ({by_error})"))
    console.print(table)
    _warn(summary, run)


def print_summary_as_json(summary: Summary, run: Run, file: TextIO) -> None:
    """Print the summary as JSON; `audio_s` is null if it was not counted in this process."""
    audio_s = Counters(run.run_id).here()["annotated_audio_ms"] / 1000
    about = {"run_id": run.run_id, "output": run.output, "audio_s": audio_s or None, "adds_up": summary.adds_up}
    print_json(about | dataclasses.asdict(summary), file)
    _warn(summary, run)


def _warn(summary: Summary, run: Run) -> None:
    if not summary.is_sound:
        message = f"The counts do not add up: see {run.output}/{run.folder}/summary.json"
        if summary.foreign_parts:
            message += f"; parts of another run: {', '.join(summary.foreign_parts)}"
        if summary.doubled:
            ids = join_some(summary.doubled_ids, len(summary.doubled_ids), summary.doubled)
            message += f"; annotated more than once: {ids}"
        errors.print(escape(message), soft_wrap=True)
